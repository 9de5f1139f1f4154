"""Weights of examples: each label has that of its own example; references in float64."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import layermix as lm
from layermix.mixing import AppendClean, Cut, MultiMix, MultiMixTarget, PlanSampler
from mixed_labels import LABELS, PARTNER, WEIGHT, randn, target

RATIOS = [torch.tensor(0.3), torch.tensor([0.3, 0.9, 0.0, 1.0])]
CLASSES = torch.tensor([0.5, 1.0, 3.0], dtype=torch.float64)


def mixed(ratio: Tensor, own: Tensor, partner: Tensor, weight: Tensor = WEIGHT) -> Tensor:
    """Return ``ratio * w * own + (1-ratio) * w[partner] * partner``, (B, ...)."""
    shape = [4] + [1] * (own.ndim - 1)
    lam = ratio.double().expand(4).view(shape)
    weight = weight.double()
    w, v = (weight, weight[PARTNER]) if weight.ndim == own.ndim else (
        weight.view(shape), weight[PARTNER].view(shape)
    )  # fmt: skip
    return lam * w * own + (1 - lam) * v * partner


def ce(logits: Tensor, labels: Tensor) -> Tensor:
    return -(F.one_hot(labels, 3).double() * logits.log_softmax(1)).sum(1)


def absolute(output: Tensor, labels: Tensor) -> Tensor:
    return (output - labels).abs()


@pytest.mark.parametrize("ratio", RATIOS)
def test_the_default_loss_weighs_each_label_by_its_own_example(ratio: Tensor) -> None:
    logits = randn(4, 3)
    expected = mixed(ratio, ce(logits, LABELS), ce(logits, LABELS[PARTNER])).mean()
    found = target(LABELS, ratio).loss(logits, sample_weight=WEIGHT)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("ratio", RATIOS)
def test_soft_labels_are_weighed_alike(ratio: Tensor) -> None:
    logits, soft = randn(4, 3), randn(4, 3).softmax(1)
    losses = [-(y * logits.log_softmax(1)).sum(1) for y in (soft, soft[PARTNER])]
    found = target(soft, ratio).loss(logits, sample_weight=WEIGHT)
    torch.testing.assert_close(found, mixed(ratio, *losses).mean(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("ratio", RATIOS)
def test_a_module_that_averages_is_weighed_before_it_does(ratio: Tensor) -> None:
    output, labels = randn(4, 2), randn(4, 2)
    losses = [absolute(output, y) for y in (labels, labels[PARTNER])]
    found = target(labels, ratio).loss(output, nn.L1Loss(), sample_weight=WEIGHT)
    torch.testing.assert_close(found, mixed(ratio, *losses).mean(), rtol=1e-12, atol=1e-12)


def test_the_mean_of_a_batch_is_over_its_examples() -> None:
    output = randn(4, 3).log_softmax(1)
    losses = [-F.one_hot(y, 3) * output for y in (LABELS, LABELS[PARTNER])]
    criterion = nn.KLDivLoss(reduction="batchmean")
    found = target(LABELS).loss(output, criterion, sample_weight=WEIGHT)
    expected = mixed(RATIOS[0], *losses).sum() / 4
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("ratio", RATIOS)
def test_class_weights_keep_the_norm_of_torch(ratio: Tensor) -> None:
    labels, logits = torch.tensor([0, -100, 2, 0]), randn(4, 3)
    theirs = labels[PARTNER]

    def parts(y: Tensor) -> tuple[Tensor, Tensor]:
        norm = CLASSES[y.clamp_min(0)] * (y >= 0)
        return norm * ce(logits, y.clamp_min(0)), norm

    (one, norm), (other, other_norm) = parts(labels), parts(theirs)
    lam = ratio.double().expand(4)
    expected = mixed(ratio, one, other).sum() / (lam * norm + (1 - lam) * other_norm).sum()
    made = target(labels, ratio)
    for found in (
        made.loss(logits, weight=CLASSES, sample_weight=WEIGHT),
        made.loss(logits, nn.CrossEntropyLoss(CLASSES), sample_weight=WEIGHT),
    ):
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("ratio", RATIOS)
def test_positions_may_have_weights_of_their_own(ratio: Tensor) -> None:
    labels, logits, weight = torch.randint(3, (4, 5)), randn(4, 3, 5), torch.rand(4, 5)
    losses = [F.cross_entropy(logits, y, reduction="none") for y in (labels, labels[PARTNER])]
    found = target(labels, ratio).loss(logits, sample_weight=weight)
    expected = mixed(ratio, losses[0], losses[1], weight).mean()
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    found = target(labels, ratio).loss(logits, sample_weight=WEIGHT)
    torch.testing.assert_close(found, mixed(ratio, *losses).mean(), rtol=1e-12, atol=1e-12)


def test_labels_of_pixels_follow_the_cut_and_the_weights() -> None:
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


def test_unmixed_examples_have_their_own_weights() -> None:
    logits = randn(4, 3)
    found = lm.MixedTarget.clean(LABELS).loss(logits, sample_weight=WEIGHT)
    torch.testing.assert_close(found, (WEIGHT.double() * ce(logits, LABELS)).mean())


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("class_weight", [None, CLASSES])
def test_mixes_of_the_whole_batch_weigh_each_of_their_labels(
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


def test_a_criterion_of_such_mixes_weighs_them_too() -> None:
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


def test_the_target_of_a_drawn_plan_of_many_has_them() -> None:
    plan = PlanSampler(["final"], blend=MultiMix(k=2), seed=0).draw(4)
    logits = randn(8, 3)
    equal = plan.target(LABELS).loss(logits, sample_weight=torch.full((4,), 2.0))
    torch.testing.assert_close(equal, 2 * plan.target(LABELS).loss(logits))


def test_clean_and_mixed_examples_are_both_weighed() -> None:
    plan = PlanSampler(["input"], blend=AppendClean(eta=0.5), seed=0).draw(4)
    logits = randn(8, 3)
    made, lam = plan.target(LABELS), plan.ratio.double()
    w, theirs = WEIGHT.double(), LABELS[plan.partner]
    one, other = ce(logits[4:], LABELS), ce(logits[4:], theirs)
    second = (lam * w * one + (1 - lam) * w[plan.partner] * other).mean()
    expected = (w * ce(logits[:4], LABELS)).mean() + 0.5 * second
    found = made.loss(logits, sample_weight=WEIGHT)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("weight", [WEIGHT, {"kind": WEIGHT}])
def test_several_targets_share_them_or_have_their_own(weight: Any) -> None:
    labels = {"kind": LABELS, "size": randn(4, 1)}
    output = {"kind": randn(4, 3), "size": randn(4, 1)}
    made = lm.Plan("final", RATIOS[1], PARTNER).target(labels)
    criteria: Any = {"size": nn.L1Loss()}
    found = made.loss(output, criteria, sample_weight=weight)
    of_size = WEIGHT if weight is WEIGHT else None
    kind = made["kind"].loss(output["kind"], sample_weight=WEIGHT)
    size = made["size"].loss(output["size"], nn.L1Loss(), sample_weight=of_size)
    torch.testing.assert_close(found, kind + size)


def test_weights_of_no_target_are_refused() -> None:
    made = lm.Plan("final", RATIOS[0], PARTNER).target({"kind": LABELS})
    with pytest.raises(lm.InputError, match=r"^unknown target 'kid': did you mean 'kind'"):
        made.loss({"kind": randn(4, 3)}, sample_weight={"kid": WEIGHT})


def test_an_example_of_weight_0_has_no_part_in_the_loss() -> None:
    logits = randn(4, 3)
    logits[2] = torch.tensor([0.0, 0.0, -torch.inf])
    logits.requires_grad_()
    weight = torch.tensor([1.0, 1.0, 0.0, 1.0])
    loss = lm.MixedTarget.clean(LABELS).loss(logits, sample_weight=weight)
    assert loss.isfinite()


def test_a_cut_weighs_what_it_left() -> None:
    plan = PlanSampler(["input"], blend=Cut(), seed=1).draw(4)
    _, made = lm.mix(torch.randn(4, 3, 8, 8), plan, LABELS)
    logits = randn(4, 3)
    assert isinstance(made, lm.MixedTarget)
    lam, w = made.ratio.double(), WEIGHT.double()
    expected = lam * w * ce(logits, LABELS)
    expected += (1 - lam) * w[plan.partner] * ce(logits, LABELS[plan.partner])
    found = made.loss(logits, sample_weight=WEIGHT)
    torch.testing.assert_close(found, expected.mean(), rtol=1e-12, atol=1e-12)
