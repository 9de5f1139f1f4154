"""Tests of `Mixer` with activation checkpointing."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import layermix as lm
from checkpointed import REENTRANT, assert_same, gradients, mixed_gradients, pair
from tiny_nets import NETS, batch, tiny_vit

POINTS = ["stem", "stages.0", "stages.0.0.0", "stages.1.1", "final"]


@REENTRANT
@pytest.mark.parametrize("dropout", [0.0, 0.5])
@pytest.mark.parametrize("point", POINTS)
def test_gradients_equal_those_without_checkpointing(
    point: str, dropout: float, reentrant: bool
) -> None:
    x, y = torch.randn(6, 4, dtype=torch.float64), torch.randint(5, (6,))
    plain, checkpointed = pair(reentrant, dropout)
    mixers = [lm.Mixer(net, at=point, per="sample", seed=2) for net in (plain, checkpointed)]
    for _ in range(2):
        expected = mixed_gradients(plain, mixers[0], x, y)
        assert_same(mixed_gradients(checkpointed, mixers[1], x, y), expected)


@REENTRANT
def test_recomputation_mixes_at_the_point_of_the_step(reentrant: bool) -> None:
    plain, checkpointed = pair(reentrant)
    at = ["input", "stages.0.0", "stages.1.0", "final"]
    mixers = [lm.Mixer(net, at=at, seed=2) for net in (plain, checkpointed)]
    x, y = torch.randn(6, 4, dtype=torch.float64), torch.randint(5, (6,))
    for _ in range(8):
        expected = mixed_gradients(plain, mixers[0], x, y)
        assert_same(mixed_gradients(checkpointed, mixers[1], x, y), expected)


@REENTRANT
def test_backward_inside_the_with_block_gives_equal_gradients(reentrant: bool) -> None:
    plain, checkpointed = pair(reentrant)
    x, y = torch.randn(6, 4, dtype=torch.float64), torch.randint(5, (6,))
    expected = mixed_gradients(plain, lm.Mixer(plain, at="stages.0.0", seed=2), x, y)
    mixer = lm.Mixer(checkpointed, at="stages.0.0", seed=2)
    plan = mixer.draw(6)
    with mixer.apply(plan) as applied:
        found = gradients(checkpointed, applied.target(y).loss(checkpointed(x)))
    assert_same(found, expected)


@REENTRANT
def test_unmixed_step_after_a_mixed_step_is_recomputed_unmixed(reentrant: bool) -> None:
    plain, checkpointed = pair(reentrant)
    mixer = lm.Mixer(checkpointed, at=["stages.0.0", "stages.1"], ratio=0.5)
    x, y = torch.randn(6, 4, dtype=torch.float64), torch.randint(5, (6,))
    for _ in range(4):
        mixed_gradients(checkpointed, mixer, x, y)
        expected = gradients(plain, plain(x).square().sum())
        assert_same(gradients(checkpointed, checkpointed(x).square().sum()), expected)


@REENTRANT
def test_evaluation_between_forward_and_backward_has_no_effect(reentrant: bool) -> None:
    plain, checkpointed = pair(reentrant)
    x, y = torch.randn(6, 4, dtype=torch.float64), torch.randint(5, (6,))
    expected = mixed_gradients(plain, lm.Mixer(plain, at="stages.0.0", seed=2), x, y)
    mixer = lm.Mixer(checkpointed, at="stages.0.0", seed=2)
    output, target = mixer(x, y)
    lm.activations(checkpointed, x, ["stages.0", "final"])
    mixer.check(x)
    assert_same(gradients(checkpointed, target.loss(output)), expected)


@REENTRANT
def test_points_of_a_checkpointed_model_emit_no_warning(
    reentrant: bool, recwarn: pytest.WarningsRecorder
) -> None:
    _, net = pair(reentrant)
    assert "stages.1" in lm.points(net, torch.randn(3, 4, dtype=torch.float64)).names
    assert recwarn.list == []


@pytest.mark.filterwarnings("ignore:some mix points are not cuts")
@pytest.mark.parametrize("point", ["blocks.0", "blocks.0.attn", "blocks.1.mlp", "final"])
def test_checkpointed_timm_model_has_the_reference_gradients(point: str) -> None:
    net, (x, y) = tiny_vit().double(), batch("vit", 3, torch.float64)
    reference = copy.deepcopy(net)
    net.set_grad_checkpointing(True)
    twin = lm.Mixer(copy.deepcopy(net), at=point)
    mixer = lm.Mixer(net, at=point, allow_partial=True)
    plan = twin.draw(3)

    def at(name: str, a: Tensor) -> Any:
        return lm.mix(a, plan) if name == point else a

    expected = gradients(reference, plan.target(y).loss(NETS["vit"][1](reference, x, at)))
    assert_same(mixed_gradients(net, mixer, x, y), expected)


def test_hooks_are_kept_until_the_backward_pass_ends() -> None:
    plain, checkpointed = pair(False)
    x, y = torch.randn(3, 4, dtype=torch.float64), torch.arange(3)

    def loss(net: nn.Module) -> Tensor:
        output, target = lm.Mixer(net, at="stages.0", seed=3)(x, y)
        return target.loss(output)

    assert_same(*(gradients(net, loss(net)) for net in (plain, checkpointed)))
    checkpointed(x)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in checkpointed.modules())


@REENTRANT
def test_evaluation_with_gradients_is_recomputed_unmixed(reentrant: bool) -> None:
    plain, checkpointed = pair(reentrant)
    x, grads = torch.randn(3, 4, dtype=torch.float64), []
    for net in (plain, checkpointed):
        mixer = lm.Mixer(net, at="stages.0", seed=3, partner="derangement")
        mixed = mixer(x, torch.arange(3))[0].square().sum()
        clean = net.eval()(x).square().sum()
        grads.append(gradients(net.train(), mixed + clean))
    assert_same(*grads)


@REENTRANT
@pytest.mark.parametrize("one_graph", [False, True])
def test_mixer_can_exit_before_the_backward_pass(reentrant: bool, one_graph: bool) -> None:
    plain, checkpointed = pair(reentrant)
    x, grads = torch.randn(3, 4, dtype=torch.float64), []
    for net in (plain, checkpointed):
        with lm.Mixer(net, at=["stages.0", "final"], seed=3, one_graph=one_graph) as mixer:
            output, target = mixer(x, torch.arange(3))
        grads.append(gradients(net, target.loss(output)))
    assert_same(*grads)
    checkpointed(x)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in checkpointed.modules())
