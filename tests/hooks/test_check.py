"""Tests that a mixer checks its blend at each of its points before the first step."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import layermix as lm
from layermix.mixing import Blend, Blended, find_method
from tiny_nets import ResNet, batch

POSITIONS = (
    "an activation of shape (2, 8) has 0 position dimensions besides batch and channels, but "
    "this blend needs 1 or 2 or 3: mix it with blend='linear', or at a point with maps or tokens"
)


def test_incompatible_blend_raises_before_the_first_step() -> None:
    net, (x, y) = ResNet(), batch("resnet", 4)
    mixer = lm.Mixer(net, at=["input", "stage1", "final"], weights=[1, 1, 0.001], blend="cut")
    for first in (lambda: mixer.check(x), lambda: mixer(x, y)):
        with pytest.raises(lm.InputError) as error:
            first()
        assert str(error.value) == f"at mix point 'final': {POSITIONS}"


def test_auto_drops_points_incompatible_with_the_blend() -> None:
    net, (x, y) = ResNet(), batch("resnet", 4)
    mixer = lm.Mixer(net, at="auto", blend="cut")
    mixer(x, y)
    assert mixer.points == ("input", "stage1", "stage2")
    assert mixer.dropped == {"final": POSITIONS}


class CustomBlend(Blend):
    """A custom blend that returns the result of a given function."""

    def __init__(self, returns: Any) -> None:
        object.__setattr__(self, "returns", returns)

    def __call__(
        self, own: Tensor, other: Tensor, ratio: Tensor, draws: Any, channels: int
    ) -> Blended:
        return self.returns(own, ratio)  # pyright: ignore[reportAttributeAccessIssue]


def test_target_uses_the_weight_returned_by_the_blend() -> None:
    net, y = nn.Sequential(nn.Linear(4, 3)), torch.tensor([0, 1])
    blend = CustomBlend(lambda own, ratio: Blended(own, torch.ones_like(ratio)))
    _, target = lm.Mixer(net, at="input", blend=blend, ratio=0.3)(torch.randn(2, 4), y)
    assert isinstance(target, lm.MixedTarget)
    assert target.ratio == 1


@pytest.mark.parametrize(
    ("returns", "wrong"),
    [
        (
            lambda own, ratio: own,
            "returned a Tensor, but must return a layermix.mixing.Blended(values, weight)",
        ),
        (
            lambda own, ratio: Blended(own[:, :2], ratio),
            "returned (2, 2) for a tensor of shape (2, 4): return the same shape, or set "
            "changes_batch_size",
        ),
    ],
)
def test_invalid_blend_result_raises(returns: Any, wrong: str) -> None:
    blend = CustomBlend(returns)
    mixer = lm.Mixer(nn.Sequential(nn.Linear(4, 3)), at="input", blend=blend)
    with pytest.raises(lm.InputError) as error:
        mixer(torch.randn(2, 4), torch.tensor([0, 1]))
    assert str(error.value) == f"at mix point 'input': the blend {blend!r} {wrong}"


def test_moment_exchange_defaults_to_the_ratio_of_the_paper() -> None:
    net = ResNet()
    assert lm.Mixer(net, at="stage1", blend="moment_exchange").draw(4).ratio == torch.tensor(0.9)
    assert lm.Mixer(net, at="stage1", blend="moment_exchange", ratio=0.5).draw(4).ratio == 0.5
    assert find_method("moment_exchange@stage1").options == {"ratio": 0.9}
