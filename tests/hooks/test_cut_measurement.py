"""Tests that cuts are measured for all parameters, examples and dtypes."""

import pytest
import torch
from torch import Tensor, nn

import layermix as lm
from cut_models import REFUSED, Heads


def test_bypass_behind_a_zero_gate_is_found() -> None:
    class Gated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.f, self.skip, self.fc = nn.Linear(5, 8), nn.Linear(5, 8), nn.Linear(8, 3)
            self.gate = nn.Parameter(torch.zeros(()))

        def forward(self, x: Tensor) -> Tensor:
            return self.fc(self.f(x) + self.gate * self.skip(x))

    net = Gated()
    assert lm.points(net, torch.randn(6, 5)).names == ["input", "final", "logits"]
    with pytest.raises(lm.InputError, match=REFUSED):
        lm.Mixer(net, at="f").check(torch.randn(6, 5))
    assert not net.gate


def test_bypass_of_a_zero_initialized_head_is_found() -> None:
    net = Heads("attributes", "mean")
    for head in (net.age_head, net.sex_head):
        nn.init.zeros_(head.weight)
    with pytest.raises(lm.InputError, match=REFUSED):
        lm.Mixer(net, at="age_head").check(torch.randn(6, 5))


@pytest.mark.parametrize(
    "x",
    [torch.zeros(4, 5), torch.ones(1, 5), torch.arange(5.0).repeat(4, 1), torch.arange(5.0)[None]],
    ids=["zero", "one", "equal", "one of several values"],
)
def test_bypass_is_found_with_equal_examples(x: Tensor) -> None:
    with pytest.raises(lm.InputError, match=REFUSED):
        lm.Mixer(Heads("list", "mean"), at="heads.0").check(x)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_cuts_are_measured_in_every_dtype(dtype: torch.dtype) -> None:
    net, x = Heads("attributes", "mean").to(dtype), torch.randn(6, 5, dtype=dtype)
    rows = {row.name: row.cut for row in lm.points(net, x, all=True)}
    assert rows["trunk"] == rows["final"] == rows["input"] == 0
    assert (rows["age_head"] or 0) > 0.1


def test_output_dependent_on_the_batch_position_raises() -> None:
    class PositionDependent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.f, self.fc = nn.Linear(5, 8), nn.Linear(8, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.fc(self.f(x)) * (1 + torch.arange(len(x)) ** 2)[:, None]

    with pytest.raises(lm.InputError, match="share that bypasses it cannot be measured"):
        lm.Mixer(PositionDependent(), at="f").check(torch.randn(6, 5))
