"""Losses with sample_weight equal float64 references."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import layermix as lm
from layermix.mixing import AppendClean, Cut, MultiMix, MultiMixTarget, PlanSampler
from mixed_labels import LABELS, PARTNER, WEIGHT, randn, target

RATIOS = [torch.tensor(0.3), torch.tensor([0.3, 0.9, 0.0, 1.0])]
CLASS_WEIGHT = torch.tensor([0.5, 1.0, 3.0], dtype=torch.float64)


def reference_losses(
    ratio: Tensor, own: Tensor, partner: Tensor, weight: Tensor = WEIGHT
) -> Tensor:
    """Return ``ratio * w * own + (1-ratio) * w[partner] * partner``, (B, ...)."""
    shape = [4] + [1] * (own.ndim - 1)
    lam = ratio.double().expand(4).view(shape)
    weight = weight.double()
    w, v = (weight, weight[PARTNER]) if weight.ndim == own.ndim else (
        weight.view(shape), weight[PARTNER].view(shape)
    )  # fmt: skip
    return lam * w * own + (1 - lam) * v * partner


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    return -(F.one_hot(labels, 3).double() * logits.log_softmax(1)).sum(1)


def absolute_error(output: Tensor, labels: Tensor) -> Tensor:
    return (output - labels).abs()


@pytest.mark.parametrize("ratio", RATIOS)
def test_default_loss_weights_each_label_by_its_example(ratio: Tensor) -> None:
    logits = randn(4, 3)
    expected = reference_losses(
        ratio, cross_entropy(logits, LABELS), cross_entropy(logits, LABELS[PARTNER])
    ).mean()
    found = target(LABELS, ratio).loss(logits, sample_weight=WEIGHT)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("ratio", RATIOS)
def test_soft_labels_are_weighted_by_their_example(ratio: Tensor) -> None:
    logits, soft = randn(4, 3), randn(4, 3).softmax(1)
    losses = [-(y * logits.log_softmax(1)).sum(1) for y in (soft, soft[PARTNER])]
    found = target(soft, ratio).loss(logits, sample_weight=WEIGHT)
    torch.testing.assert_close(
        found, reference_losses(ratio, *losses).mean(), rtol=1e-12, atol=1e-12
    )


@pytest.mark.parametrize("ratio", RATIOS)
def test_criterion_module_is_weighted_before_reduction(ratio: Tensor) -> None:
    output, labels = randn(4, 2), randn(4, 2)
    losses = [absolute_error(output, y) for y in (labels, labels[PARTNER])]
    found = target(labels, ratio).loss(output, nn.L1Loss(), sample_weight=WEIGHT)
    torch.testing.assert_close(
        found, reference_losses(ratio, *losses).mean(), rtol=1e-12, atol=1e-12
    )


def test_batchmean_divides_by_the_number_of_examples() -> None:
    output = randn(4, 3).log_softmax(1)
    losses = [-F.one_hot(y, 3) * output for y in (LABELS, LABELS[PARTNER])]
    criterion = nn.KLDivLoss(reduction="batchmean")
    found = target(LABELS).loss(output, criterion, sample_weight=WEIGHT)
    expected = reference_losses(RATIOS[0], *losses).sum() / 4
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("ratio", RATIOS)
def test_class_weights_keep_the_normalization_of_torch(ratio: Tensor) -> None:
    labels, logits = torch.tensor([0, -100, 2, 0]), randn(4, 3)
    theirs = labels[PARTNER]

    def parts(y: Tensor) -> tuple[Tensor, Tensor]:
        norm = CLASS_WEIGHT[y.clamp_min(0)] * (y >= 0)
        return norm * cross_entropy(logits, y.clamp_min(0)), norm

    (one, norm), (other, other_norm) = parts(labels), parts(theirs)
    lam = ratio.double().expand(4)
    expected = (
        reference_losses(ratio, one, other).sum() / (lam * norm + (1 - lam) * other_norm).sum()
    )
    made = target(labels, ratio)
    for found in (
        made.loss(logits, weight=CLASS_WEIGHT, sample_weight=WEIGHT),
        made.loss(logits, nn.CrossEntropyLoss(CLASS_WEIGHT), sample_weight=WEIGHT),
    ):
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("ratio", RATIOS)
def test_sample_weight_may_have_one_value_per_position(ratio: Tensor) -> None:
    labels, logits, weight = torch.randint(3, (4, 5)), randn(4, 3, 5), torch.rand(4, 5)
    losses = [F.cross_entropy(logits, y, reduction="none") for y in (labels, labels[PARTNER])]
    found = target(labels, ratio).loss(logits, sample_weight=weight)
    expected = reference_losses(ratio, losses[0], losses[1], weight).mean()
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    found = target(labels, ratio).loss(logits, sample_weight=WEIGHT)
    torch.testing.assert_close(
        found, reference_losses(ratio, *losses).mean(), rtol=1e-12, atol=1e-12
    )


def test_pixel_labels_use_mask_and_sample_weight() -> None:
    plan = PlanSampler(["input"], blend="cut", per="sample", seed=0).draw(4)
    labels, logits = torch.randint(3, (4, 6, 6)), randn(4, 3, 6, 6)
    _, made = lm.mix(torch.randn(4, 3, 6, 6), plan, labels)
    assert isinstance(made, lm.MixedTarget)
    one, other = (
        F.cross_entropy(logits, y, reduction="none") for y in (labels, made.partner_labels)
    )
    lam, w = made.ratio.double(), WEIGHT.double()[:, None, None]
    expected = (lam * w * one + (1 - lam) * w[plan.partner] * other).mean()
    found = made.loss(logits, sample_weight=WEIGHT)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_clean_target_uses_sample_weight() -> None:
    logits = randn(4, 3)
    found = lm.MixedTarget.clean(LABELS).loss(logits, sample_weight=WEIGHT)
    torch.testing.assert_close(found, (WEIGHT.double() * cross_entropy(logits, LABELS)).mean())


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("class_weight", [None, CLASS_WEIGHT])
def test_multimix_weights_each_label_by_its_example(
    smoothing: float, class_weight: Tensor | None
) -> None:
    shares, logits = randn(9, 4).softmax(1), randn(9, 3)
    criterion = nn.CrossEntropyLoss(class_weight, label_smoothing=smoothing, reduction="none")
    losses = torch.stack([criterion(logits, y.expand(9)) for y in LABELS], 1)  # (N, B)
    norms = torch.ones(4).double() if class_weight is None else class_weight[LABELS]
    expected = (shares * WEIGHT.double() * losses).sum() / (shares * norms).sum()
    found = MultiMixTarget(LABELS, shares).loss(
        logits, sample_weight=WEIGHT, weight=class_weight, label_smoothing=smoothing
    )
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_multimix_criterion_uses_sample_weight() -> None:
    shares, output, labels = randn(9, 4).softmax(1), randn(9, 2), torch.rand(4, 2).double()
    losses = torch.stack(
        [
            F.binary_cross_entropy_with_logits(output, y.expand(9, 2), reduction="none")
            for y in labels
        ]
    )  # (B, N, 2)
    expected = (shares.T[..., None] * WEIGHT.double()[:, None, None] * losses).sum(0).mean()
    made = MultiMixTarget(labels, shares)
    found = made.loss(output, nn.BCEWithLogitsLoss(), sample_weight=WEIGHT)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_sampled_multimix_target_uses_sample_weight() -> None:
    plan = PlanSampler(["final"], blend=MultiMix(k=2), seed=0).draw(4)
    logits = randn(8, 3)
    equal = plan.target(LABELS).loss(logits, sample_weight=torch.full((4,), 2.0))
    torch.testing.assert_close(equal, 2 * plan.target(LABELS).loss(logits))


def test_append_clean_weights_clean_and_mixed_examples() -> None:
    plan = PlanSampler(["input"], blend=AppendClean(eta=0.5), seed=0).draw(4)
    logits = randn(8, 3)
    made, lam = plan.target(LABELS), plan.ratio.double()
    w, theirs = WEIGHT.double(), LABELS[plan.partner]
    one, other = cross_entropy(logits[4:], LABELS), cross_entropy(logits[4:], theirs)
    second = (lam * w * one + (1 - lam) * w[plan.partner] * other).mean()
    expected = (w * cross_entropy(logits[:4], LABELS)).mean() + 0.5 * second
    found = made.loss(logits, sample_weight=WEIGHT)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("weight", [WEIGHT, {"kind": WEIGHT}])
def test_several_targets_may_share_or_separate_weights(weight: Any) -> None:
    labels = {"kind": LABELS, "size": randn(4, 1)}
    output = {"kind": randn(4, 3), "size": randn(4, 1)}
    made = lm.Plan("final", RATIOS[1], PARTNER).target(labels)
    criteria: Any = {"size": nn.L1Loss()}
    found = made.loss(output, criteria, sample_weight=weight)
    of_size = WEIGHT if weight is WEIGHT else None
    kind = made["kind"].loss(output["kind"], sample_weight=WEIGHT)
    size = made["size"].loss(output["size"], nn.L1Loss(), sample_weight=of_size)
    torch.testing.assert_close(found, kind + size)


def test_sample_weight_of_unknown_target_raises_an_error() -> None:
    made = lm.Plan("final", RATIOS[0], PARTNER).target({"kind": LABELS})
    with pytest.raises(lm.InputError, match=r"^unknown target 'kid': did you mean 'kind'"):
        made.loss({"kind": randn(4, 3)}, sample_weight={"kid": WEIGHT})


def test_example_with_zero_weight_is_ignored() -> None:
    logits = randn(4, 3)
    logits[2] = torch.tensor([0.0, 0.0, -torch.inf])
    logits.requires_grad_()
    weight = torch.tensor([1.0, 1.0, 0.0, 1.0])
    loss = lm.MixedTarget.clean(LABELS).loss(logits, sample_weight=weight)
    assert loss.isfinite()


def test_cut_uses_label_weights_and_sample_weight() -> None:
    plan = PlanSampler(["input"], blend=Cut(), seed=1).draw(4)
    _, made = lm.mix(torch.randn(4, 3, 8, 8), plan, LABELS)
    logits = randn(4, 3)
    assert isinstance(made, lm.MixedTarget)
    lam, w = made.ratio.double(), WEIGHT.double()
    expected = lam * w * cross_entropy(logits, LABELS)
    expected += (1 - lam) * w[plan.partner] * cross_entropy(logits, LABELS[plan.partner])
    found = made.loss(logits, sample_weight=WEIGHT)
    torch.testing.assert_close(found, expected.mean(), rtol=1e-12, atol=1e-12)
