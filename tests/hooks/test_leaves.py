"""Tests of outputs with several tensors: all with a batch dimension are mixed with one plan."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn

import layermix as lm

PLAN: dict[str, Any] = {"ratio": torch.tensor(0.3), "partner": torch.tensor([1, 2, 3, 0])}


class Module(nn.Module):
    """A module that applies the function `returns` to its input."""

    def __init__(self, returns: Any) -> None:
        super().__init__()
        self.returns = returns

    def forward(self, x: Tensor) -> Any:
        return self.returns(x)


def mixed(model: nn.Module, x: Tensor, check: bool = True) -> Any:
    """Return a model's output, mixed by `PLAN`."""
    mixer = lm.Mixer(model, at="logits")
    if check:
        mixer.check(x)
    with mixer.apply(lm.Plan("logits", **PLAN)):
        return model(x)


def reference_mix(x: Tensor, dim: int) -> Tensor:
    """Return a tensor mixed with `PLAN` along a dimension."""
    return 0.3 * x + 0.7 * x.index_select(dim, PLAN["partner"])


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
def test_recurrent_states_are_mixed_along_dim_1(kind: Any) -> None:
    model, x = kind(4, 6, num_layers=2, batch_first=True).double(), torch.randn(4, 5, 4).double()
    clean, state = model(x)
    output, mixed_state = mixed(model, x)
    torch.testing.assert_close(output, reference_mix(clean, 0))
    pairs = zip(mixed_state, state, strict=True) if kind is nn.LSTM else [(mixed_state, state)]
    for own, expected in pairs:
        torch.testing.assert_close(own, reference_mix(expected, 1))


def test_each_map_of_a_list_is_mixed() -> None:
    model, x = Module(lambda x: [x, x[..., ::2, ::2]]), torch.randn(4, 3, 8, 8)
    for own, clean in zip(mixed(model, x), model(x), strict=True):
        torch.testing.assert_close(own, reference_mix(clean, 0))


class Inner(NamedTuple):
    a: Tensor
    b: tuple[Tensor, str]


@dataclass(frozen=True)
class Record:
    logits: Tensor
    inner: dict[str, Inner]
    loss: Tensor


def test_nested_outputs_keep_their_types() -> None:
    def returns(x: Tensor) -> Record:
        return Record(x, {"inner": Inner(2 * x, (x + 1, "kept"))}, torch.tensor(7.0))

    x = torch.randn(4, 3)
    found = mixed(Module(returns), x)
    assert type(found) is Record
    assert type(found.inner["inner"]) is Inner
    torch.testing.assert_close(found.logits, reference_mix(x, 0))
    torch.testing.assert_close(found.inner["inner"].a, reference_mix(2 * x, 0))
    torch.testing.assert_close(found.inner["inner"].b[0], reference_mix(x + 1, 0))
    assert found.inner["inner"].b[1] == "kept"
    assert found.loss == 7.0


class Cache:
    """An object with a tensor, of a type that is not traversed."""

    def __init__(self, x: Tensor) -> None:
        self.x = x


@pytest.mark.parametrize("check", [True, False])
def test_values_without_a_batch_dimension_are_unchanged(check: bool) -> None:
    positions, loss, cache = torch.randn(5, 7), torch.tensor(2.0), Cache(torch.randn(4, 3))
    model = Module(lambda x: (x, positions, loss, cache, None, len(x)))
    _, *rest = mixed(model, torch.randn(4, 3), check)
    assert all(found is own for found, own in zip(rest, (positions, loss, cache), strict=False))
    assert rest[3:] == [None, 4]


def test_probe_distinguishes_a_table_with_batch_size_rows() -> None:
    table = torch.randn(4, 3)
    model = Module(lambda x: (x, table))
    assert mixed(model, torch.randn(4, 3))[1] is table


def test_additional_integer_tensors_are_unchanged() -> None:
    model = Module(lambda x: (x, torch.arange(len(x))))
    assert mixed(model, torch.randn(4, 3))[1].tolist() == [0, 1, 2, 3]


def test_apply_without_check_infers_the_batch_dimension() -> None:
    model, x = Module(lambda x: (x, 2 * x, x.T)), torch.randn(4, 3)
    first, second, third = mixed(model, x, check=False)
    torch.testing.assert_close(first, reference_mix(x, 0))
    torch.testing.assert_close(second, reference_mix(2 * x, 0))
    torch.testing.assert_close(third, reference_mix(x.T, 1))


def test_outputs_of_training_mode_are_mixed() -> None:
    class Auxiliary(nn.Module):
        def forward(self, x: Tensor) -> Any:
            return (x, 2 * x) if self.training else x

    x = torch.randn(4, 3)
    first, second = mixed(Auxiliary(), x)
    torch.testing.assert_close(first, reference_mix(x, 0))
    torch.testing.assert_close(second, reference_mix(2 * x, 0))


def test_second_tensor_with_two_batch_dimensions_raises() -> None:
    model = Module(lambda x: {"logits": x, "pairs": x @ x.T})
    with pytest.raises(lm.InputError) as error:
        lm.Mixer(model, at="logits").check(torch.randn(4, 3))
    assert str(error.value) == (
        "mix point 'logits' cannot be mixed: its other tensor 'pairs' has the shapes (3, 3) and "
        "(2, 2) for batches of 3 and 2, so that no single dimension is the batch. "
        "layermix.points(model, x) lists the points that can"
    )


def test_second_tensor_with_several_rows_per_example_is_mixed() -> None:
    model, x = Module(lambda x: (x, x.repeat_interleave(2, 0))), torch.randn(4, 3)
    torch.testing.assert_close(mixed(model, x)[1], reference_mix(x, 0).repeat_interleave(2, 0))


def test_second_tensor_of_another_length_is_an_obstacle() -> None:
    model = Module(lambda x: (x, x.new_zeros(len(x) + 1)))
    (row,) = (row for row in lm.points(model, torch.randn(4, 3), all=True) if row.name == "logits")
    assert str(row.obstacle).startswith("its other tensor '1' has the shapes (4,) and (3,)")


def test_second_tensor_absent_during_the_probe_raises() -> None:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.f, self.more = nn.Linear(4, 8), False

        def forward(self, x: Tensor) -> dict[str, Tensor]:
            h = self.f(x)
            return {"main": h, "more": h.relu()} if self.more else {"main": h}

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.block, self.fc = Block(), nn.Linear(8, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.fc(torch.stack([*self.block(x).values()]).sum(0))

    net, x, y = Net(), torch.randn(6, 4), torch.arange(6) % 3
    mixer = lm.Mixer(net, at="block")
    mixer(x, y)
    net.block.more = True
    why = r"'block': the tensor 'more' of shape \(6, 8\) was not there when the mixer probed"
    with pytest.raises(lm.InputError, match=why):
        mixer(x, y)


def test_gradients_flow_through_every_tensor() -> None:
    model, x = nn.LSTM(4, 6, batch_first=True).double(), torch.randn(4, 5, 4).double()
    output, (h, c) = mixed(model, x)
    (output.sum() + h.sum() + c.sum()).backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
