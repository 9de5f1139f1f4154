"""Tests of torchmetrics metrics on mixed labels, as described in docs/migration.md."""

import pytest
import torch
from torchmetrics.classification import MulticlassAccuracy

import layermix as lm


@pytest.mark.parametrize("seed", range(3))
def test_accuracy_on_the_larger_weight_equals_dominant_accuracy(seed: int) -> None:
    torch.manual_seed(seed)
    output, target = torch.randn(64, 5), lm.mixup(torch.zeros(64, 2), torch.randint(5, (64,)))[1]
    metric = MulticlassAccuracy(5, average="micro")
    metric.update(output, target.dense(5).argmax(1))
    assert metric.compute() == target.dominant_accuracy(output)
    assert target.accuracy(output) != target.dominant_accuracy(output)
