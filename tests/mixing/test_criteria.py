"""Labels are converted for the criterion, or an error is raised; nothing is broadcast silently."""

import functools
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from timm.loss.asymmetric_loss import AsymmetricLossMultiLabel
from timm.loss.binary_cross_entropy import BinaryCrossEntropy
from timm.loss.cross_entropy import LabelSmoothingCrossEntropy, SoftTargetCrossEntropy
from timm.loss.jsd import JsdCrossEntropy
from torch import Tensor, nn
from torchvision.ops import sigmoid_focal_loss

import layermix as lm

RATIOS = [torch.tensor(0.3), torch.tensor([0.3, 0.9, 0.5])]
PARTNER = torch.tensor([2, 0, 1])
LABELS = torch.tensor([0, 2, 2])


def target(labels: Tensor, ratio: Tensor = RATIOS[0]) -> lm.MixedTarget:
    made = lm.Plan("final", ratio, PARTNER[: len(labels)]).target(labels)
    assert isinstance(made, lm.MixedTarget)
    return made


def randn(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def soft(labels: Tensor) -> Tensor:
    return F.one_hot(labels, 3).double()


def cross_entropy(z: Tensor, y: Tensor) -> Tensor:
    return -(soft(y) * z.log_softmax(1)).sum(1)


def binary(z: Tensor, y: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(z, soft(y), reduction="none").mean(1)


def divergence(z: Tensor, y: Tensor) -> Tensor:
    return -(soft(y) * z).sum(1)


def focal(z: Tensor, y: Tensor) -> Tensor:
    return sigmoid_focal_loss(z, soft(y)).mean(1)


def asymmetric(z: Tensor, y: Tensor) -> Tensor:
    unreduced = AsymmetricLossMultiLabel(reduction="none")
    return unreduced(z, soft(y)).sum(1).double()


def squared(z: Tensor, y: Tensor) -> Tensor:
    return (z - soft(y)).square().mean(1)


PER_SAMPLE = [  # criteria, with a reference for the loss of each example
    (SoftTargetCrossEntropy(), cross_entropy),
    (LabelSmoothingCrossEntropy(0.0), cross_entropy),
    (AsymmetricLossMultiLabel(), asymmetric),
    (nn.BCEWithLogitsLoss(), binary),
    (nn.MSELoss(), squared),
    (nn.KLDivLoss(reduction="batchmean"), divergence),
    (sigmoid_focal_loss, focal),
]
BATCH_MEAN = [  # functions that return the mean of the batch
    (functools.partial(sigmoid_focal_loss, reduction="mean"), focal),
    (F.binary_cross_entropy_with_logits, binary),
    (F.mse_loss, squared),
]


@pytest.mark.parametrize("ratio", RATIOS)
@pytest.mark.parametrize(("criterion", "formula"), PER_SAMPLE)
def test_soft_label_criteria_receive_one_hot_labels(
    criterion: Any, formula: Any, ratio: Tensor
) -> None:
    """With as many examples as classes, labels (B,) could be broadcast against (B, C)."""
    logits, lam = randn(3, 3), ratio.double().expand(3)
    losses = lam * formula(logits, LABELS) + (1 - lam) * formula(logits, LABELS[PARTNER])
    found = target(LABELS, ratio).loss(logits, criterion)
    tolerance = 1e-6 if formula is asymmetric else 1e-12  # computed in float32
    torch.testing.assert_close(found.double(), losses.mean(), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("criterion", "formula"), [*PER_SAMPLE, *BATCH_MEAN])
@pytest.mark.parametrize("size", [1, 2, 3])
def test_soft_label_criteria_work_for_any_batch_size(
    criterion: Any, formula: Any, size: int
) -> None:
    logits, labels = randn(size, 3), LABELS[:size]
    made = lm.Plan("final", torch.tensor(0.3), torch.arange(size).roll(1)).target(labels)
    lam = torch.tensor(0.3).double()
    losses = lam * formula(logits, labels) + (1 - lam) * formula(logits, labels.roll(1))
    found = made.loss(logits, criterion)
    tolerance = 1e-6 if formula is asymmetric else 1e-12
    torch.testing.assert_close(found.double(), losses.mean(), rtol=tolerance, atol=tolerance)


def test_soft_label_criterion_receives_one_hot_maps() -> None:
    logits, labels = randn(3, 3, 4, 5), torch.randint(3, (3, 4, 5))
    one_hot = F.one_hot(labels, 3).movedim(-1, 1).double()
    expected = F.binary_cross_entropy_with_logits(logits, one_hot)
    found = lm.MixedTarget.clean(labels).loss(logits, nn.BCEWithLogitsLoss())
    torch.testing.assert_close(found, expected)


def soft_mean(z: Tensor, y: Tensor) -> Tensor:
    return (-y * z.log_softmax(1)).sum(1).mean()


@pytest.mark.parametrize("size", [1, 2, 3])
def test_custom_soft_label_criterion_raises_an_error(size: int) -> None:
    made = lm.MixedTarget.clean(LABELS[:size])
    with pytest.raises(lm.InputError) as error:
        made.loss(randn(size, 3), soft_mean)
    assert str(error.value) == (
        f"soft_mean needs soft labels, but the labels are integer classes of shape ({size},) and "
        f"the output has shape ({size}, 3). Give it one-hot labels: target.loss(output, "
        "lambda z, y: criterion(z, F.one_hot(y, 3).to(z)))"
    )


@pytest.mark.parametrize("size", [1, 2, 3])
def test_custom_soft_label_criterion_works_with_suggested_fix(size: int) -> None:
    logits, labels = randn(size, 3), LABELS[:size]
    found = lm.MixedTarget.clean(labels).loss(
        logits, lambda z, y: soft_mean(z, F.one_hot(y, 3).to(z))
    )
    torch.testing.assert_close(found, cross_entropy(logits, labels).mean())


@pytest.mark.parametrize("size", [1, 2, 3])
def test_class_label_criteria_receive_labels_unchanged(size: int) -> None:
    logits, labels, weight = randn(size, 3), LABELS[:size], torch.rand(size).double()

    def margin(z: Tensor, y: Tensor) -> Tensor:
        return F.multi_margin_loss(z, y)

    def weighted(z: Tensor, y: Tensor) -> Tensor:  # fails with more examples
        return (F.cross_entropy(z, y, reduction="none") * weight).mean()

    for criterion in (margin, weighted, nn.MultiMarginLoss(), BinaryCrossEntropy()):
        found = lm.MixedTarget.clean(labels).loss(logits, criterion)
        torch.testing.assert_close(found, criterion(logits, labels))


@pytest.mark.parametrize("labels", [torch.randint(4, (2, 3, 3)), torch.rand(2, 4, 3, 3)])
def test_timm_criteria_require_classes_in_last_dimension(labels: Tensor) -> None:
    made = lm.MixedTarget.clean(labels)
    for criterion, smoothing in (
        (SoftTargetCrossEntropy(), 0.0),
        (LabelSmoothingCrossEntropy(0.1), 0.1),
    ):
        with pytest.raises(lm.InputError) as error:
            made.loss(torch.randn(2, 4, 3, 3), criterion)
        assert str(error.value) == (
            f"{type(criterion).__name__} expects the classes in the last dimension, but the output "
            "of shape (2, 4, 3, 3) has them in the second: use the default loss, "
            f"target.loss(output, label_smoothing={smoothing})"
        )


def test_jsd_cross_entropy_raises_an_error() -> None:
    with pytest.raises(lm.InputError, match=r"^JsdCrossEntropy compares the outputs of several"):
        target(LABELS).loss(randn(3, 3), JsdCrossEntropy())


def test_error_raised_by_criterion_is_not_changed() -> None:
    def broken(z: Tensor, y: Tensor) -> Tensor:
        raise ValueError("not like this")

    with pytest.raises(ValueError, match=r"^not like this$"):
        target(LABELS).loss(randn(3, 4), broken)


def test_kl_div_with_log_target_rejects_class_labels() -> None:
    with pytest.raises(lm.InputError, match=r"^KLDivLoss with log_target=True needs log-prob"):
        target(LABELS).loss(randn(3, 3), nn.KLDivLoss(reduction="batchmean", log_target=True))


def test_labels_outside_the_classes_are_not_one_hot_encoded() -> None:
    with pytest.raises(lm.InputError, match=r"^label -100 is outside the 3 classes"):
        target(torch.tensor([0, -100, 2])).loss(randn(3, 3), nn.BCEWithLogitsLoss())


def test_criterion_class_instead_of_instance_raises_an_error() -> None:
    target = lm.MixedTarget.clean(torch.tensor([0, 1]))
    with pytest.raises(lm.InputError, match="is the class CrossEntropyLoss: pass an instance"):
        target.loss(torch.randn(2, 2), torch.nn.CrossEntropyLoss)  # pyright: ignore[reportArgumentType]
