"""Tests that mixing inside a model equals a reference forward that mixes at the same point."""

import copy
from typing import Any, get_args

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import layermix as lm
from layermix.mixing import Per
from tiny_nets import NETS, batch

# Points inside residual branches are not cuts; the formula is valid there too.
pytestmark = pytest.mark.filterwarnings("ignore:some mix points are not cuts")

EVERYWHERE = ["input", "final", "logits"]
POINTS = {
    "mlp": [*EVERYWHERE, "blocks.0", "blocks.1", "blocks.0.0", "blocks.1.1"],
    "resnet": [*EVERYWHERE, "stage1", "stage2", "conv", "stage1.0", "stage1.1.bn1"],
    "vit": [*EVERYWHERE, "blocks.0", "blocks.1", "patch_embed", "blocks.0.attn", "norm"],
}
POINTS["resnet"] += ["stage2.0.conv2", "stage2.0.shortcut"]
POINTS["vit"] += ["blocks.1.mlp", "blocks.1.norm2"]
CASES = [(net, point) for net, points in POINTS.items() for point in points]


def reference_step(net: str, model: nn.Module, x: Tensor, y: Tensor, plan: lm.Plan) -> Tensor:
    """Run the reference forward, loss and backward pass; return the output."""
    ratio, partner = plan.ratio.double(), plan.partner

    def at(name: str, a: Tensor) -> Tensor:
        if name != plan.point:
            return a
        weight = ratio if ratio.ndim == 0 else ratio.reshape(-1, *[1] * (a.ndim - 1))
        return weight * a + (1 - weight) * a[partner]

    output = NETS[net][1](model, x, at)
    first = F.cross_entropy(output, y, reduction="none")
    second = F.cross_entropy(output, y[partner], reduction="none")
    (ratio * first + (1 - ratio) * second).mean().backward()
    return output


def assert_same(one: Tensor | None, other: Tensor | None) -> None:
    """Compare two tensors as vectors, with a relative tolerance of 1e-6."""
    assert one is not None
    assert other is not None
    assert (one - other).norm() <= 1e-6 * other.norm() + 1e-12


def assert_same_models(one: nn.Module, other: nn.Module) -> None:
    """Compare all gradients, and the running statistics of the batch norms."""
    for mine, theirs in zip(one.parameters(), other.parameters(), strict=True):
        assert_same(mine.grad, theirs.grad)
    for mine, theirs in zip(one.buffers(), other.buffers(), strict=True):
        assert_same(mine.double(), theirs.double())


@pytest.mark.parametrize("net", NETS)
def test_all_default_mix_points_are_tested(net: str) -> None:
    model, (x, _) = NETS[net][0](), batch(net, 2)
    assert set(lm.points(model, x).names) <= set(POINTS[net])


@pytest.mark.parametrize("net", NETS)
def test_reference_forward_without_mixing_equals_the_model(net: str) -> None:
    model, (x, _) = NETS[net][0]().double(), batch(net, 3, torch.float64)
    assert_same(NETS[net][1](copy.deepcopy(model), x, lambda _, a: a), model(x))


@pytest.mark.parametrize("per", get_args(Per))
@pytest.mark.parametrize(("net", "point"), CASES)
def test_output_and_gradients_equal_the_reference(net: str, point: str, per: Per) -> None:
    model, (x, y) = NETS[net][0]().double(), batch(net, 5, torch.float64)
    reference_model = copy.deepcopy(model)
    plan = lm.Mixer(copy.deepcopy(model), at=point, per=per, seed=3).draw(5)
    mixer = lm.Mixer(model, at=point, per=per, seed=3, allow_partial=True)

    output, target = mixer(x, y)
    target.loss(output).backward()

    expected = reference_step(net, reference_model, x, y, plan)
    assert_same(output, expected)
    assert_same_models(model, reference_model)


@pytest.mark.parametrize("net", NETS)
def test_draw_and_apply_equal_the_reference(net: str) -> None:
    model, (x, y) = NETS[net][0]().double(), batch(net, 5, torch.float64)
    mixer = lm.Mixer(model, at=POINTS[net], per="sample", seed=1, allow_partial=True)
    for _ in range(20):
        reference_model = copy.deepcopy(model)
        plan = mixer.draw(5)
        with mixer.apply(plan) as applied:
            output = model(x)
        applied.target(y).loss(output).backward()

        assert_same(output, reference_step(net, reference_model, x, y, plan))
        assert_same_models(model, reference_model)
        model.zero_grad()


@pytest.mark.parametrize("per", ["batch", "sample"])
@pytest.mark.parametrize("net", NETS)
def test_mixing_at_final_equals_mixing_the_logits(net: str, per: Per) -> None:
    model, (x, y) = NETS[net][0]().double(), batch(net, 5, torch.float64)
    other = copy.deepcopy(model)
    losses: list[Any] = []
    for net_, point in ((model, "final"), (other, "logits")):
        output, target = lm.Mixer(net_, at=point, per=per, seed=5, allow_partial=True)(x, y)
        losses.append(target.loss(output))
        losses[-1].backward()
    assert_same(*losses)
    assert_same_models(model, other)
