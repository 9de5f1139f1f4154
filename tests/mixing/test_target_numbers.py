"""Precision of targets: float64 results, dtypes of labels, and infinite losses."""

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import layermix as lm
from layermix.mixing import AppendCleanTarget, MultiMixTarget, PlanSampler
from mixed_labels import LABELS, PARTNER, randn, target

RATIOS = [torch.tensor(0.3), torch.tensor([0.3, 0.9, 0.123, 1.0])]


def assert_exact(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-14, atol=1e-14)


def mean(ratio: Tensor, own: Tensor, partner: Tensor) -> Tensor:
    lam = ratio.double().expand(4)
    return (lam * own + (1 - lam) * partner).mean()


@pytest.mark.parametrize("ratio", RATIOS)
def test_float64_losses_are_exact(ratio: Tensor) -> None:
    logits, output, numbers = randn(4, 3), randn(4), randn(4)
    theirs = LABELS[PARTNER]
    own, other = (F.cross_entropy(logits, y, reduction="none") for y in (LABELS, theirs))
    made = target(LABELS, ratio)
    for found in (
        made.loss(logits),
        made.loss(logits.log_softmax(1), nn.NLLLoss()),
        made.loss(logits, lambda z, y: F.cross_entropy(z, y, reduction="none")),
    ):
        assert_exact(found, mean(ratio, own, other))
    losses = [(output - y).square() for y in (numbers, numbers[PARTNER])]
    found = target(numbers, ratio).loss(output, nn.MSELoss())
    assert_exact(found, mean(ratio, *losses))


@pytest.mark.parametrize("ratio", RATIOS)
def test_float64_activations_are_exact(ratio: Tensor) -> None:
    x, lam = randn(4, 5), ratio.double().expand(4)[:, None]
    expected = lam * x + (1 - lam) * x[PARTNER]
    assert_exact(lm.mix(x, lm.Plan("final", ratio, PARTNER)), expected)
    found = lm.MixLayer()(x, x[PARTNER], ratio)
    assert_exact(found, expected)


@pytest.mark.parametrize("ratio", RATIOS)
def test_float64_soft_labels_are_exact(ratio: Tensor) -> None:
    lam, one_hot, numbers = (
        ratio.double().expand(4)[:, None],
        F.one_hot(LABELS).double(),
        randn(4, 2),
    )
    soft = target(LABELS, ratio).dense(3, torch.float64)
    assert_exact(soft, lam * one_hot + (1 - lam) * one_hot[PARTNER])
    found = target(numbers, ratio).dense()
    assert_exact(found, lam * numbers + (1 - lam) * numbers[PARTNER])


def test_float64_multimix_is_exact() -> None:
    weights, logits = torch.rand(9, 4).softmax(1), randn(9, 3)
    soft = weights.double() @ F.one_hot(LABELS, 3).double()
    made = MultiMixTarget(LABELS, weights)
    assert_exact(made.dense(3, torch.float64), soft)
    losses = torch.stack(
        [F.cross_entropy(logits, y.expand(9), reduction="none") for y in LABELS], 1
    )
    expected = (weights.double() * losses).sum() / weights.double().sum()
    torch.testing.assert_close(made.loss(logits), expected, rtol=1e-13, atol=1e-13)


def test_dense_accepts_floating_point_dtypes_only() -> None:
    floats, classes = target(torch.rand(4, 3)), target(LABELS)
    many = MultiMixTarget(LABELS, torch.eye(4))
    both = AppendCleanTarget(lm.MixedTarget.clean(LABELS), classes, 1.0)
    for made in (floats, classes, many, both):
        assert made.dense(3).dtype == torch.float32
        for dtype in (torch.float64, torch.bfloat16):
            assert made.dense(3, dtype).dtype == dtype
        with pytest.raises(lm.InputError) as error:
            made.dense(3, torch.int64)
        assert str(error.value) == (
            "mixed labels are floating point, so dtype cannot be torch.int64"
        )


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("ratio", RATIOS)
def test_half_precision_losses_are_averaged_in_float32(ratio: Tensor, dtype: torch.dtype) -> None:
    made, output = target(torch.randn(4).to(dtype), ratio), torch.randn(4).to(dtype)
    assert made.loss(output, nn.MSELoss()).dtype == torch.float32


MASKED = torch.tensor([[1.0, 2.0, -math.inf], [0.5, 0.1, 0.2], [0.1, 0.2, 0.3], [1.0, 2.0, 0.1]])
EDGES = [torch.tensor(1.0), torch.tensor([1.0, 0.0, 0.5, 0.25])]


@pytest.mark.parametrize("ratio", EDGES)
@pytest.mark.parametrize("each", [False, True])
def test_infinite_loss_of_zero_weight_is_ignored(ratio: Tensor, each: bool) -> None:
    """The partner's class of the first example has probability 0 and weight 0."""
    criterion = (lambda z, y: F.cross_entropy(z, y, reduction="none")) if each else None
    logits = MASKED.clone().requires_grad_()
    loss = target(LABELS, ratio).loss(logits, criterion)
    (gradient,) = torch.autograd.grad(loss, logits)
    own, other = (
        -MASKED.log_softmax(1).gather(1, y[:, None])[:, 0] for y in (LABELS, LABELS[PARTNER])
    )
    lam = ratio.expand(4)
    expected = (lam * own + torch.where(lam == 1, 0, (1 - lam) * other)).mean()
    torch.testing.assert_close(loss, expected)
    assert gradient.isfinite().all()


def test_infinite_losses_of_both_labels_are_infinite() -> None:
    logits = torch.tensor([[0.0, -math.inf, -math.inf], [0.0, -math.inf, -math.inf]])
    for ratio in (torch.tensor(0.3), torch.tensor([0.3, 0.6])):
        made = lm.Plan("final", ratio, torch.tensor([1, 0])).target(torch.tensor([1, 2]))
        assert made.loss(logits) == math.inf


def test_interior_is_true_if_ratios_are_between_0_and_1() -> None:
    for ratio, interior in zip(RATIOS, (True, False), strict=True):
        pairs = target(LABELS, ratio).pairs
        assert pairs is not None
        assert pairs.interior is interior


def test_interior_is_false_for_label_weights_of_a_cut() -> None:
    plan = PlanSampler(["input"], blend="cut", ratio=0.999).draw(4)
    _, made = lm.mix(torch.randn(4, 1, 2, 2), plan, LABELS)
    assert isinstance(made, lm.MixedTarget)
    assert made.ratio == 1
    assert made.pairs is not None
    assert not made.pairs.interior
    logits = torch.tensor([[0.0, -math.inf, -math.inf]] * 4)
    assert made.loss(logits) == F.cross_entropy(logits, LABELS)  # a partner of weight 0 is ignored


@pytest.mark.parametrize("labels", [LABELS, 0 * LABELS])
@pytest.mark.parametrize("shape", [(4,), (4, 1)])
def test_class_labels_reject_single_column_output(labels: Tensor, shape: tuple[int, ...]) -> None:
    output = torch.randn(shape)
    for made in (target(labels), MultiMixTarget(labels, torch.eye(4))):
        with pytest.raises(lm.InputError, match=r"torch\.nn\.BCEWithLogitsLoss\(\) for two"):
            made.loss(output)
        with pytest.raises(lm.InputError, match=r"^accuracy needs an output with two classes"):
            made.accuracy(output)


@pytest.mark.parametrize("per", ["batch", "sample"])
def test_sampler_uses_the_fixed_ratio_in_float64(per: Any) -> None:
    x, numbers = randn(6, 3, 4, 4), randn(6, 2)
    plan = PlanSampler(["input"], ratio=0.3, per=per, seed=1).draw(6, dtype=torch.float64)
    assert_exact(lm.mix(x, plan), 0.3 * x + 0.7 * x[plan.partner])
    assert_exact(plan.target(numbers).dense(), 0.3 * numbers + 0.7 * numbers[plan.partner])
    assert_exact(lm.MixLayer()(x, x.flip(0), 0.3), 0.3 * x + 0.7 * x.flip(0))


@pytest.mark.parametrize("blend", ["cut", "fourier", "grid", "resize", "salient"])
def test_label_weights_of_masks_are_exact(blend: str) -> None:
    x = torch.arange(6.0)[:, None, None, None].expand(6, 2, 9, 9)
    plan = PlanSampler(["input"], ratio=0.6, blend=blend, partner="derangement", seed=1).draw(6)
    mixed, made = lm.mix(x, plan, LABELS[[0, 1, 2, 3, 0, 1]])
    count = (mixed == x).flatten(1).sum(1).double() / (2 * 81)
    assert isinstance(made, lm.MixedTarget)
    assert_exact(made.ratio.expand(6), count)


def test_multimix_weights_sum_to_one_in_float64() -> None:
    plan = PlanSampler(["final"], blend="multimix", seed=1).draw(6)
    made, x = plan.target(torch.arange(6)), randn(6, 5)
    assert isinstance(made, MultiMixTarget)
    assert_exact(made.weights.sum(1), torch.ones(48).double())
    assert_exact(lm.mix(x, plan), made.weights @ x)


def test_soft_labels_have_the_default_dtype_of_torch() -> None:
    made = (target(LABELS), MultiMixTarget(LABELS, torch.eye(4).double()))
    assert [one.dense(3).dtype for one in made] == [torch.float32, torch.float32]
    torch.set_default_dtype(torch.float64)
    try:
        assert [one.dense(3).dtype for one in made] == [torch.float64, torch.float64]
    finally:
        torch.set_default_dtype(torch.float32)
