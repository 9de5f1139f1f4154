"""Tests that cuts are measured on the whole output: small features, integers, several heads."""

from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn

import layermix as lm
from measured_cuts import Net, X, cuts


@pytest.mark.parametrize("scale", [1e3, 1e5, 1e7])
def test_features_of_different_scales_are_compared_separately(scale: float) -> None:
    class Scaled(Net):
        def outputs(self, h: Tensor) -> Tensor:
            return torch.cat([self.head(h), scale * self.side(h)], 1)

    found = cuts(Scaled())
    assert (found["trunk"], found["final"]) == (0, 0)
    assert found["head"] == found["side"] == 1


def test_head_used_by_the_logits_is_a_separate_output() -> None:
    class Coarse(Net):
        def __init__(self) -> None:
            super().__init__()
            self.fine = nn.Linear(11, 7)

        def outputs(self, h: Tensor) -> dict[str, Tensor]:
            coarse = self.head(h)
            return {"logits": self.fine(torch.cat([h, coarse.softmax(1)], 1)), "coarse": coarse}

    found = cuts(Coarse())
    assert found["trunk"] == 0
    assert found["fine"] == found["final"] == 1


def test_features_returned_with_logits_are_not_a_head() -> None:
    class Features(Net):
        def outputs(self, h: Tensor) -> dict[str, Tensor]:
            return {"logits": self.head(nn.functional.dropout(h)), "features": h}

    assert cuts(Features())["final"] == 0


def test_hidden_states_returned_with_named_logits_are_not_heads() -> None:
    class Output(NamedTuple):
        logits: Tensor
        hidden_states: tuple[Tensor, ...]

    class Hidden(Net):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(8, 8)

        def outputs(self, h: Tensor) -> Output:
            last = self.layer(h).relu()
            return Output(self.head(last), (h, last))

    found = cuts(Hidden())
    assert (found["trunk"], found["layer"], found["final"]) == (0, 0, 0)


def test_heads_inside_a_nonlinear_module_are_the_final_layer() -> None:
    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.other = nn.Linear(8, 3), nn.Linear(8, 3)

        def forward(self, h: Tensor) -> Tensor:
            return self.one(h.tanh()) + self.other(h.sigmoid())

    net = nn.Sequential(nn.Linear(5, 8), Both())
    mixer = lm.Mixer(net, at="final", ratio=0.3, partner="derangement")
    mixer.check(X)
    plan = mixer.draw(6)
    with mixer.apply(plan):
        mixed = net(X)
    torch.testing.assert_close(mixed, lm.mix(net(X), plan))


def test_output_shape_dependent_on_the_example_order_raises() -> None:
    class Widths(Net):
        def outputs(self, h: Tensor) -> Tensor:
            return self.head(h)[:, : 1 + int(h.sum(1).argmax())]

    with pytest.raises(lm.InputError, match="share that bypasses it cannot be measured"):
        lm.Mixer(Widths(), at="trunk").check(X)


def test_unmixed_integer_outputs_are_a_bypass() -> None:
    """For example, the lengths that a CTC loss needs."""

    class Lengths(Net):
        def forward(self, x: Tensor, lengths: Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
            return self.head(self.trunk(x)), lengths // 2

    found = cuts(Lengths(), (X, torch.arange(1, 7)))
    assert found["final"] == found["trunk"] == 1
    assert found["logits"] == 0


def test_predictions_and_row_numbers_are_not_a_bypass() -> None:
    class Classes(Net):
        def outputs(self, h: Tensor) -> Any:
            logits = self.head(h)
            return logits, logits.argmax(1), torch.arange(len(h))

    found = cuts(Classes())
    assert [found[name] for name in ("input", "trunk", "final", "logits")] == [0, 0, 0, 0]


def test_complex_outputs_are_compared() -> None:
    class Spectrum(Net):
        def outputs(self, h: Tensor) -> Any:
            return self.head(h), torch.complex(self.side(h), self.side(h) + 1)

    assert cuts(Spectrum())["head"] == 1


@pytest.mark.filterwarnings("ignore:`torch.jit.trace`", "ignore:`torch.jit.trace_method`")
def test_lazy_and_scripted_models_raise() -> None:
    net = nn.Sequential(nn.LazyLinear(8), nn.ReLU(), nn.Linear(8, 3))
    with pytest.raises(lm.InputError, match="lazy parameters without a shape: call it once"):
        lm.points(net, X)
    net(X)
    assert lm.points(net, X).names == ["input", "final", "logits"]
    scripted: Any = torch.jit.trace(net, X, check_trace=False)
    with pytest.raises(lm.InputError, match="scripted or traced"):
        lm.points(scripted, X)
