"""Unmixed labels have the losses of torch; clean and mixed examples are averaged together."""

import math

import pytest
import torch
from torch import Tensor, nn

import layermix as lm
from layermix.mixing import AppendCleanTarget, MultiMixTarget
from mixed_labels import LABELS, PARTNER, randn

RATIOS = [torch.tensor(0.3), torch.tensor([0.3, 0.9, 0.5, 1.0])]
CLASS_WEIGHT = torch.tensor([0.5, 1.0, 3.0], dtype=torch.float64)
IGNORED = torch.tensor([0, 7, 2, 0])


def make_target(labels: Tensor, ratio: Tensor) -> lm.MixedTarget:
    target = lm.Plan("input", ratio.double(), PARTNER).target(labels)
    assert isinstance(target, lm.MixedTarget)
    return target


UNMIXED = [torch.ones(()), torch.ones(4)]
SOFT = torch.tensor([[0.2, 0.3, 0.5], [1, 0, 0], [0, 0.6, 0.4], [0.1, 0.1, 0.8]]).double()
MULTILABEL = torch.tensor([[1, 1, 0], [0, 0, 0], [1, 1, 1], [0, 1, 0]]).double()


@pytest.mark.parametrize("ratio", UNMIXED)
@pytest.mark.parametrize("labels", [LABELS, SOFT, MULTILABEL], ids=["classes", "soft", "several"])
@pytest.mark.parametrize("weight", [None, CLASS_WEIGHT], ids=["plain", "weighted"])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_unmixed_cross_entropy_equals_torch(
    ratio: Tensor, labels: Tensor, weight: Tensor | None, smoothing: float
) -> None:
    logits, criterion = randn(4, 3), nn.CrossEntropyLoss(weight, label_smoothing=smoothing)
    expected = criterion(logits, labels)
    for target in (
        make_target(labels, ratio),
        MultiMixTarget(labels, torch.eye(4, dtype=torch.float64)),
    ):
        torch.testing.assert_close(target.loss(logits, criterion), expected)
        default = target.loss(logits, weight=weight, label_smoothing=smoothing)
        torch.testing.assert_close(default, expected)


@pytest.mark.parametrize("ratio", UNMIXED)
@pytest.mark.parametrize("criterion", [nn.NLLLoss(CLASS_WEIGHT, ignore_index=7), nn.NLLLoss()])
def test_unmixed_nll_loss_equals_torch(ratio: Tensor, criterion: nn.NLLLoss) -> None:
    labels = IGNORED if criterion.ignore_index == 7 else LABELS
    output = randn(4, 3).log_softmax(1)
    found = make_target(labels, ratio).loss(output, criterion)
    torch.testing.assert_close(found, criterion(output, labels))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("ratio", RATIOS)
def test_half_precision_loss_equals_float32_loss(ratio: Tensor, dtype: torch.dtype) -> None:
    logits = torch.randn(4, 3).to(dtype)
    target = lm.MixedTarget(LABELS, LABELS[PARTNER], ratio)
    close = 4 * torch.finfo(dtype).eps
    found, expected = target.loss(logits).float(), target.loss(logits.float())
    torch.testing.assert_close(found, expected, rtol=close, atol=close)


def test_many_positions_do_not_overflow_half_precision() -> None:
    labels, logits = torch.zeros(2, 256, 256).long(), torch.zeros(2, 3, 256, 256)
    found = lm.MixedTarget.clean(labels).loss(logits.half())
    assert float(found) == pytest.approx(math.log(3), rel=1e-3)


def test_append_clean_nll_and_accuracy_average_all_examples() -> None:
    labels, logits = torch.tensor([0, 1]), torch.eye(3).double()[[0, 0, 1, 2]]
    mixed = lm.MixedTarget(labels, labels.flip(0), torch.tensor(0.25).double())
    target = AppendCleanTarget(lm.MixedTarget.clean(labels), mixed, eta=3.0)
    log_probs = logits.log_softmax(1)
    expected = -(log_probs[0, 0] + log_probs[1, 1])
    for row, own, other in ((2, 0, 1), (3, 1, 0)):
        expected -= 0.25 * log_probs[row, own] + 0.75 * log_probs[row, other]
    torch.testing.assert_close(target.nll(logits), expected / 4)
    assert target.accuracy(logits) == pytest.approx((1 + 0.75) / 4)


def test_append_clean_nll_excludes_ignored_labels() -> None:
    labels, logits = torch.tensor([0, -100, 1]), torch.randn(6, 3).double()
    partner, log_probs = torch.tensor([1, 2, 1]), logits.log_softmax(1)
    plan = lm.Plan(
        "input", torch.tensor([0.2, 0.6, 0.9], dtype=torch.float64), partner, "append_clean"
    )
    expected, count = -(log_probs[0, 0] + log_probs[2, 1]), 2.0
    for row, (i, lam) in enumerate(zip(partner.tolist(), (0.2, 0.6, 0.9), strict=True)):
        for label, weight in ((labels[row], lam), (labels[i], 1 - lam)):
            if label >= 0:
                expected, count = expected - weight * log_probs[3 + row, label], count + weight
    torch.testing.assert_close(plan.target(labels).nll(logits), expected / count)


@pytest.mark.parametrize("compiled", [False, True])
def test_clean_target_may_have_an_infinite_loss(compiled: bool) -> None:
    logits, labels = torch.tensor([[0.0, -math.inf], [1.0, 2.0]]), torch.tensor([1, 0])

    def loss(logits: Tensor) -> Tensor:
        return lm.MixedTarget.clean(labels).loss(logits, ignore_index=-1)

    if compiled:
        loss = torch.compile(loss, backend="aot_eager")
    assert loss(logits) == math.inf
