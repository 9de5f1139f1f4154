"""Tests of `Mixer` with copied models, and of the removal of its hooks."""

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

import layermix as lm
from model_copies import COPIES
from tiny_nets import Mlp, batch

POINTS = ["input", "blocks.0", "final", "logits"]


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("how", COPIES)
def test_copied_model_is_not_mixed(how: str, point: str) -> None:
    net, (x, _) = Mlp(), batch("mlp", 6)
    mixer = lm.Mixer(net, at=POINTS, ratio=0.5)
    clean = net(x)
    plan = lm.Plan(point, torch.tensor(0.5), torch.tensor([1, 2, 3, 4, 5, 0]))
    with mixer.apply(plan):
        copied = COPIES[how](net)  # while a plan is active
        output, mixed = copied(x), net(x)
    torch.testing.assert_close(output, clean)
    assert not mixed.allclose(clean)


@pytest.mark.parametrize("how", COPIES)
def test_copied_model_can_have_another_mixer(how: str) -> None:
    net, (x, y) = Mlp(), batch("mlp", 6)
    mixer = lm.Mixer(net, at="blocks.0", per="sample")
    copied = COPIES[how](net)
    at = "module.blocks.0" if how == "average" else "blocks.0"
    other = lm.Mixer(copied, at=at, per="sample")
    for _ in range(2):
        torch.testing.assert_close(other(x, y)[0], mixer(x, y)[0])


def test_ema_of_a_mixed_model_follows_its_parameters() -> None:
    net, (x, y) = Mlp(), batch("mlp", 6)
    mixer = lm.Mixer(net, at="blocks.0")
    average = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(0.0))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for _ in range(3):
        output, target = mixer(x, y)
        target.loss(output).backward()
        optimizer.step()
        average.update_parameters(net)
    for mine, theirs in zip(average.parameters(), net.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs)


def test_mixer_does_not_change_modules_or_state_dict() -> None:
    net = Mlp()
    names = [name for name, _ in net.named_modules()], list(net.state_dict())
    lm.Mixer(net, at=POINTS)
    assert ([name for name, _ in net.named_modules()], list(net.state_dict())) == names


def test_remove_removes_all_hooks_of_the_mixer() -> None:
    net = Mlp()
    mixer = lm.Mixer(net, at=POINTS)
    assert hooks(net) == len(POINTS)
    mixer.remove()
    assert hooks(net) == 0


def test_remove_keeps_other_hooks() -> None:
    net, (x, y) = Mlp(), batch("mlp", 6)
    first, other = lm.Mixer(net, at="final"), lm.Mixer(net, at="final")
    first.remove()
    assert hooks(net) == 1
    assert other(x, y)[0].shape == (6, 5)


def test_removed_mixer_raises() -> None:
    net, (x, y) = Mlp(), batch("mlp", 6)
    mixer = lm.Mixer(net, at="final")
    mixer.remove()
    with pytest.raises(lm.RunError, match="or the hooks of the mixer were removed"):
        mixer(x, y)


def test_failed_construction_leaves_no_hooks() -> None:
    net = Mlp()
    with pytest.raises(lm.InputError):
        lm.Mixer(net, at=["final", "nowhere"])
    assert hooks(net) == 0


def hooks(model: nn.Module) -> int:
    """Count the hooks in a model."""
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())
