"""Tests of `FeatureCapture` with activation checkpointing."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

import layermix as lm
from checkpointed import REENTRANT, Net, assert_same, gradients, pair

OUTSIDE = ["stem", "stages.0", "stages.1", "final", "logits"]
INSIDE = ["stages.0.0", "stages.0.0.0", "stages.1.1"]


def data() -> tuple[Tensor, Tensor]:
    return torch.randn(9, 4, dtype=torch.float64), torch.arange(9) % 3


def step(net: Net, capture: lm.FeatureCapture, x: Tensor, y: Tensor) -> list[Tensor]:
    """Return the gradients of a step with a loss at every captured point."""
    torch.manual_seed(7)  # equal dropout masks
    loss = F.cross_entropy(net(x), y)
    for point in capture:
        loss = loss + 0.5 * lm.SoftNearestNeighborLoss()(capture[point], y)
    return gradients(net, loss)


@REENTRANT
@pytest.mark.parametrize("dropout", [0.0, 0.5])
@pytest.mark.parametrize("point", OUTSIDE)
def test_loss_between_checkpointed_blocks_has_the_correct_gradient(
    point: str, dropout: float, reentrant: bool
) -> None:
    (x, y), nets = data(), pair(reentrant, dropout)
    captures = [lm.FeatureCapture(net, at=point) for net in nets]
    for _ in range(2):
        expected, found = (step(n, c, x, y) for n, c in zip(nets, captures, strict=True))
        assert_same(found, expected)


@pytest.mark.parametrize("dropout", [0.0, 0.5])
@pytest.mark.parametrize("point", INSIDE)
def test_loss_inside_a_checkpointed_block_has_the_correct_gradient(
    point: str, dropout: float
) -> None:
    (x, y), nets = data(), pair(False, dropout)
    captures = [lm.FeatureCapture(net, at=[point, "stages.1"]) for net in nets]
    for _ in range(2):
        expected, found = (step(n, c, x, y) for n, c in zip(nets, captures, strict=True))
        assert_same(found, expected)


@REENTRANT
def test_recomputation_does_not_replace_features(reentrant: bool) -> None:
    (x, y), (_, net) = data(), pair(reentrant)
    capture = lm.FeatureCapture(net, at=OUTSIDE)
    loss = F.cross_entropy(net(x), y)
    kept = dict(capture)
    loss.backward()
    assert all(capture[point] is kept[point] for point in OUTSIDE)


@REENTRANT
def test_mixed_and_checkpointed_step_has_the_correct_gradient(reentrant: bool) -> None:
    (x, y), nets = data(), pair(reentrant)
    found = []
    for net in nets:
        before = lm.FeatureCapture(net, at="stem")
        mixer = lm.Mixer(net, at=["stem", "stages.0"], per="sample")
        after = lm.FeatureCapture(net, at=["stem", "stages.0"])
        for _ in range(4):
            output, target = mixer(x, y)
            loss = target.loss(output) + lm.SoftNearestNeighborLoss()(before["stem"], y)
            features = dict(after)
            loss = loss + features["stem"].square().mean() + features["stages.0"].mean()
            found.append(gradients(net, loss))
    for one, other in zip(found[:4], found[4:], strict=True):
        assert_same(one, other)


class CheckpointedModel(nn.Module):
    """A wrapper that checkpoints a whole model, so that all hooks of the model run again."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        output = checkpoint(self.net, x, use_reentrant=False)
        assert isinstance(output, Tensor)
        return output


def test_checkpointed_whole_model_keeps_features() -> None:
    (x, y), (plain, net) = data(), pair(False)
    net.reentrant = None
    expected = step(plain, lm.FeatureCapture(plain, at=INSIDE), x, y)
    capture, whole = lm.FeatureCapture(net, at=INSIDE), CheckpointedModel(net)
    loss = F.cross_entropy(whole(x), y)
    kept = dict(capture)
    for point in INSIDE:
        loss = loss + 0.5 * lm.SoftNearestNeighborLoss()(kept[point], y)
    assert_same(gradients(net, loss), expected)
    assert all(capture[point] is kept[point] for point in INSIDE)


@pytest.mark.parametrize("point", ["stages.0.0", "stages.0.0.0", "stages.1.0"])
def test_features_inside_a_reentrant_block_raise(point: str) -> None:
    (x, _), (_, net) = data(), pair(True)
    capture = lm.FeatureCapture(net, at=[point, "stages.1"])
    net(x)
    assert capture["stages.1"].requires_grad
    with pytest.raises(lm.InputError) as error:
        capture[point]
    assert str(error.value) == (
        f"mix point {point!r} cannot be captured: it ran without gradients, like blocks inside "
        "reentrant activation checkpointing: use use_reentrant=False, or capture the output of the "
        "checkpointed block itself"
    )
