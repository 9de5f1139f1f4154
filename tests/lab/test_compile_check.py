"""Tests of the comparison of a compiled model with the model itself, in the first step of a run."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from layermix.lab.training import loop
from layermix.lab.training.compile_check import has_equal_gradients
from layermix.lab.training.loop import Trainer
from short_training import SHORT, trainer

COMPILED = replace(SHORT, compile=True)


class WrongCompiler(nn.Module):
    """A model whose loss is right, and whose gradients are doubled or NaN."""

    def __init__(self, model: nn.Module, change: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self._orig_mod, self.change = model, change

    def forward(self, x: Tensor) -> Any:
        return self.change(self._orig_mod(x))


def doubled(output: Tensor) -> Tensor:
    return output + (output - output.detach())


def undefined(output: Tensor) -> Tensor:
    return output + 0 * (output - output.detach()).sqrt()


def use_compiler(monkeypatch: pytest.MonkeyPatch, change: Callable[[Tensor], Tensor]) -> None:
    monkeypatch.setattr(loop, "compiled", lambda model: WrongCompiler(model, change))


def weights(own: Trainer) -> list[Tensor]:
    own.run_epoch(1)
    return [*own.raw_model.state_dict().values()]


@pytest.mark.parametrize("variant", [(), ("block1",), ("input", "final")])
@pytest.mark.parametrize("change", [doubled, undefined])
def test_wrong_gradients_warn_and_training_goes_on_without_compiling(
    monkeypatch: pytest.MonkeyPatch, variant: tuple[str, ...], change: Callable[[Tensor], Tensor]
) -> None:
    use_compiler(monkeypatch, change)
    own, plain = trainer(variant, COMPILED), trainer(variant)
    with pytest.warns(UserWarning, match="wrong gradients in the first batch: those of '"):
        found = weights(own)
    for one, other in zip(found, weights(plain), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("variant", [(), ("block1",)])
def test_right_gradients_stay_compiled_and_change_nothing(
    monkeypatch: pytest.MonkeyPatch, variant: tuple[str, ...]
) -> None:
    use_compiler(monkeypatch, lambda output: output + 0)
    own, plain = trainer(variant, COMPILED), trainer(variant)
    for one, other in zip(weights(own), weights(plain), strict=True):
        assert torch.equal(one, other)
    assert own.model is not own.raw_model


def test_norm_statistics_are_restored_and_random_models_are_not_compared() -> None:
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 2))
    x, before = torch.randn(8, 3), [*map(torch.clone, net.state_dict().values())]
    wrong = WrongCompiler(net, doubled)
    assert has_equal_gradients(net, wrong, lambda model: model(x).square().mean())
    for one, other in zip(before, net.state_dict().values(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize(("error", "right"), [(0.9, True), (3.5, False)])
def test_gradients_in_bfloat16_may_be_as_inaccurate_as_eager_ones(
    error: float, right: bool
) -> None:
    net, x, half = nn.Linear(3, 2), torch.randn(8, 3), True

    @contextmanager
    def exact() -> Iterator[None]:
        nonlocal half
        half = False
        yield
        half = True

    def loss_of(model: Any) -> Tensor:
        output = model(x)
        return (output + 0.2 * half * (output - output.detach())).square().mean()

    near = WrongCompiler(
        net, lambda output: output + 0.2 / 1.2 * error * (output - output.detach())
    )
    if right:
        assert has_equal_gradients(net, near, loss_of, exact)
    else:
        with pytest.warns(
            UserWarning, match=r"differ by 0\.9 of their norm \(the tolerance is 0\.6"
        ):
            assert not has_equal_gradients(net, near, loss_of, exact)


def test_compiled_model_in_bfloat16_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = replace(COMPILED, bfloat16=True)
    use_compiler(monkeypatch, lambda output: output + 0)
    own = trainer(("block1",), recipe)
    for one, other in zip(
        weights(own), weights(trainer(("block1",), replace(recipe, compile=False))), strict=True
    ):
        assert torch.equal(one, other)
    assert own.model is not own.raw_model
    use_compiler(monkeypatch, lambda output: output + 4 * (output - output.detach()))
    with pytest.warns(UserWarning, match="wrong gradients"):
        weights(trainer(("block1",), recipe))
