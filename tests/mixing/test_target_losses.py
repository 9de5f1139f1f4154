"""Losses keep the mean of torch; references are sums over single labels in float64."""

import math
from collections.abc import Iterable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import layermix as lm
from layermix.mixing import MultiMixTarget

RATIOS = [torch.tensor(0.3), torch.tensor([0.3, 0.9, 0.5, 1.0])]
PARTNER = torch.tensor([2, 0, 3, 1])
CLASS_WEIGHT = torch.tensor([0.5, 1.0, 3.0], dtype=torch.float64)
LABELS = torch.tensor([0, 1, 2, 0])
IGNORED = torch.tensor([0, 7, 2, 0])

Share = tuple[int, float, int]
"""Row of the output, weight, and class."""


def reference_loss(
    logits: Tensor,
    shares: Iterable[Share],
    *,
    weight: Tensor | None = None,
    smoothing: float = 0.0,
    ignore: int = 7,
) -> Tensor:
    """Return the weighted sum of the losses of single labels, divided by the sum of the norms."""
    loss, norm, weights = 0.0, 0.0, [1.0] * 3 if weight is None else weight.tolist()
    for row, share, label in shares:
        if label != ignore:
            scores = [float(z) for z in logits[row]]
            total = math.log(sum(math.exp(z) for z in scores))
            losses = [w * (total - z) for w, z in zip(weights, scores, strict=True)]
            smooth = sum(losses) / len(losses)
            loss += share * ((1 - smoothing) * losses[label] + smoothing * smooth)
            norm += share * weights[label]
    return torch.tensor(loss / norm, dtype=torch.float64)


def pair_shares(labels: Tensor, ratio: Tensor) -> list[Share]:
    shares = []
    for i, lam in enumerate(ratio.double().expand(4).tolist()):
        shares += [(i, lam, int(labels[i])), (i, 1 - lam, int(labels[PARTNER[i]]))]
    return shares


def multimix_shares(labels: Tensor, weights: Tensor) -> list[Share]:
    return [
        (n, float(share), int(label))
        for n, row in enumerate(weights)
        for share, label in zip(row, labels, strict=True)
    ]


def make_target(labels: Tensor, ratio: Tensor) -> lm.MixedTarget:
    target = lm.Plan("input", ratio.double(), PARTNER).target(labels)
    assert isinstance(target, lm.MixedTarget)
    return target


def randn(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


class Focal(nn.CrossEntropyLoss):
    """Focal loss (Lin et al., 2017), gamma = 2, built on torch's cross-entropy."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        loss = F.cross_entropy(input, target, reduction="none")
        loss = (1 - torch.exp(-loss)) ** 2 * loss
        return loss.mean() if self.reduction == "mean" else loss


@pytest.mark.parametrize("ratio", RATIOS)
def test_subclass_of_cross_entropy_uses_its_forward(ratio: Tensor) -> None:
    logits, expected = randn(4, 3), 0.0
    for row, share, label in pair_shares(LABELS, ratio):
        likelihood = float(logits[row].softmax(0)[label])
        expected -= share * (1 - likelihood) ** 2 * math.log(likelihood) / 4
    found = make_target(LABELS, ratio).loss(logits, Focal())
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64))


class Weighted(nn.CrossEntropyLoss):
    """Cross-entropy with other default settings."""

    def __init__(self) -> None:
        super().__init__(CLASS_WEIGHT, ignore_index=7)


@pytest.mark.parametrize("ratio", RATIOS)
def test_subclass_with_other_settings_keeps_its_mean(ratio: Tensor) -> None:
    logits = randn(4, 3)
    expected = reference_loss(logits, pair_shares(IGNORED, ratio), weight=CLASS_WEIGHT)
    torch.testing.assert_close(make_target(IGNORED, ratio).loss(logits, Weighted()), expected)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("ratio", RATIOS)
def test_cross_entropy_of_pairs_equals_sum_over_labels(ratio: Tensor, smoothing: float) -> None:
    logits = randn(4, 3)
    criterion = nn.CrossEntropyLoss(CLASS_WEIGHT, ignore_index=7, label_smoothing=smoothing)
    expected = reference_loss(
        logits, pair_shares(IGNORED, ratio), weight=CLASS_WEIGHT, smoothing=smoothing
    )
    torch.testing.assert_close(make_target(IGNORED, ratio).loss(logits, criterion), expected)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weight", [None, CLASS_WEIGHT])
def test_multimix_loss_excludes_ignored_labels(smoothing: float, weight: Tensor | None) -> None:
    weights, logits = randn(9, 4).softmax(1), randn(9, 3)
    criterion = nn.CrossEntropyLoss(weight, ignore_index=7, label_smoothing=smoothing)
    expected = reference_loss(
        logits, multimix_shares(IGNORED, weights), weight=weight, smoothing=smoothing
    )
    torch.testing.assert_close(MultiMixTarget(IGNORED, weights).loss(logits, criterion), expected)


def test_mix_of_only_ignored_labels_is_excluded() -> None:
    weights = torch.tensor([[0.0, 1.0], [0.5, 0.5]], dtype=torch.float64)
    target, logits = MultiMixTarget(torch.tensor([2, 7]), weights), randn(2, 3).requires_grad_()
    loss = target.loss(logits, ignore_index=7, label_smoothing=0.1)
    expected = F.cross_entropy(logits[1:], torch.tensor([2]), label_smoothing=0.1)
    torch.testing.assert_close(loss, expected)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert gradient.isfinite().all()
    assert (gradient[0] == 0).all()


def test_multimix_accuracy_excludes_ignored_labels() -> None:
    weights = torch.tensor([[0.25, 0.75], [0.5, 0.5]])
    target, logits = MultiMixTarget(torch.tensor([1, 7]), weights), torch.eye(2)
    assert target.accuracy(logits, ignore_index=7) == pytest.approx(0.5 / 0.75)


@pytest.mark.parametrize("ratio", RATIOS)
@pytest.mark.parametrize("weight", [None, CLASS_WEIGHT])
def test_nll_loss_of_pairs_equals_sum_over_labels(ratio: Tensor, weight: Tensor | None) -> None:
    logits = randn(4, 3)
    expected = reference_loss(logits, pair_shares(IGNORED, ratio), weight=weight)
    criterion = nn.NLLLoss(weight, ignore_index=7)
    found = make_target(IGNORED, ratio).loss(logits.log_softmax(1), criterion)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("weight", [None, CLASS_WEIGHT])
def test_nll_loss_of_multimix_equals_sum_over_labels(
    weight: Tensor | None,
) -> None:
    weights, logits = randn(9, 4).softmax(1), randn(9, 3)
    expected = reference_loss(logits, multimix_shares(IGNORED, weights), weight=weight)
    target = MultiMixTarget(IGNORED, weights)
    found = target.loss(logits.log_softmax(1), nn.NLLLoss(weight, ignore_index=7))
    torch.testing.assert_close(found, expected)


def test_impossible_class_of_zero_weight_is_ignored() -> None:
    target = MultiMixTarget(torch.tensor([0, 1, 2]), torch.tensor([[0.5, 0.5, 0.0]]))
    output = torch.tensor([[0.5, 0.5, 0.0]]).log().requires_grad_()
    loss = target.loss(output, nn.NLLLoss())
    assert float(loss.detach()) == pytest.approx(math.log(2))
    (gradient,) = torch.autograd.grad(loss, output)
    assert gradient.tolist() == [[-0.5, -0.5, 0]]


def test_nll_loss_rejects_soft_labels() -> None:
    target = lm.MixedTarget.clean(torch.rand(4, 3))
    with pytest.raises(lm.InputError) as error:
        target.loss(torch.randn(4, 3), nn.NLLLoss())
    assert str(error.value) == (
        "NLLLoss needs integer class labels, but the labels are torch.float32 of shape (4, 3): use "
        "torch.nn.CrossEntropyLoss(), which accepts logits and log-probabilities"
    )
