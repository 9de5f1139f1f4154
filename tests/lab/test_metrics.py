"""Tests of classification metrics against hand-computed values and brute force."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from layermix.lab.training.logits import as_stored
from layermix.lab.training.metrics import (
    adaptive_ece,
    aurc,
    classwise_ece,
    evaluate,
    fit_temperature,
    metrics,
)


def random_logits(n: int = 200, classes: int = 4, scale: float = 3.0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = scale * torch.randn(n, classes, generator=generator, dtype=torch.float64)
    return logits, torch.randint(classes, (n,), generator=generator)


def test_aurc_of_four_examples_is_the_mean_risk() -> None:
    # Sorted by confidence: right, wrong, right, wrong. Risks: 0, 1/2, 1/3, 2/4.
    confidence = torch.tensor([0.9, 0.8, 0.7, 0.6]).double()
    correct = torch.tensor([1.0, 0, 1, 0]).double()
    assert aurc(confidence, correct) == pytest.approx((0 + 1 / 2 + 1 / 3 + 1 / 2) / 4)


def test_aurc_of_equal_confidences_is_the_expectation_over_their_orders() -> None:
    confidence = torch.tensor([0.9, 0.5, 0.5]).double()
    correct = torch.tensor([1.0, 0, 1]).double()
    one = (0 + 1 / 2 + 1 / 3) / 3  # the wrong one first
    other = (0 + 0 + 1 / 3) / 3
    assert aurc(confidence, correct) == pytest.approx((one + other) / 2)


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=40))
def test_aurc_is_between_0_and_1_and_does_not_depend_on_the_order(pairs) -> None:
    confidence, correct = torch.tensor(pairs).double().T
    flipped = aurc(confidence.flip(0), correct.flip(0))
    assert 0 <= aurc(confidence, correct) <= 1
    assert aurc(confidence, correct) == pytest.approx(flipped)


def test_adaptive_ece_has_bins_of_equal_size() -> None:
    # 30 examples, 15 bins of 2: gaps are |mean correct - mean confidence| of neighbors.
    confidence = torch.linspace(0.4, 0.98, 30).double()
    correct = (torch.arange(30) % 3 > 0).double()
    gaps = (correct - confidence).view(15, 2).mean(1).abs()
    assert adaptive_ece(confidence, correct) == pytest.approx(float(gaps.mean()))
    order = torch.randperm(30)
    assert adaptive_ece(confidence[order], correct[order]) == pytest.approx(float(gaps.mean()))


def test_adaptive_ece_of_fewer_examples_than_bins() -> None:
    confidence, correct = torch.tensor([0.9, 0.6]).double(), torch.tensor([1.0, 0.0]).double()
    assert adaptive_ece(confidence, correct) == pytest.approx((0.1 + 0.6) / 2)


def test_classwise_ece_is_the_mean_over_classes() -> None:
    logits, labels = random_logits()
    probs, expected = logits.softmax(1), []
    for k in range(4):
        p, is_k = probs[:, k].numpy(), (labels == k).numpy()
        bins = np.minimum((p * 15).astype(int), 14)
        parts = [bins == b for b in range(15) if (bins == b).any()]
        expected.append(
            sum(part.mean() * abs(p[part].mean() - is_k[part].mean()) for part in parts)
        )
    assert classwise_ece(probs, labels) == pytest.approx(np.mean(expected))


def test_fitted_temperature_recovers_the_true_one() -> None:
    generator = torch.Generator().manual_seed(1)
    logits = 2 * torch.randn(40_000, 5, generator=generator, dtype=torch.float64)
    labels = torch.multinomial(logits.softmax(1), 1, generator=generator).flatten()
    assert fit_temperature(3 * logits, labels) == pytest.approx(3, rel=0.03)


def test_fitted_temperature_has_zero_slope() -> None:
    logits, _ = random_logits()
    labels = torch.where(torch.arange(len(logits)) % 3 > 0, logits.argmax(1), 0)
    beta = torch.tensor(
        1 / fit_temperature(logits, labels), dtype=torch.float64, requires_grad=True
    )
    torch.nn.functional.cross_entropy(beta * logits, labels).backward()
    assert beta.grad is not None
    assert float(beta.grad) == pytest.approx(0, abs=1e-6)


def test_temperature_is_bounded_if_all_predictions_are_right_or_wrong() -> None:
    labels = torch.arange(20) % 4
    logits = 5.0 * torch.nn.functional.one_hot(labels, 4).double()
    assert 0.01 <= fit_temperature(logits, labels) < 0.2  # the NLL is 0 below
    assert fit_temperature(-logits, labels) == pytest.approx(100, rel=1e-3)


def test_logits_that_are_not_finite_have_temperature_1() -> None:
    assert fit_temperature(torch.tensor([[math.inf, 0.0]]), torch.tensor([0])) == 1.0


def test_scaled_metrics_are_those_of_divided_logits() -> None:
    (val, test), labels = random_logits()[0].chunk(2), random_logits()[1]
    found = evaluate({"val": val, "test": test}, {"val": labels[:100], "test": labels[100:]})
    temperature = fit_temperature(val, labels[:100])
    scaled = metrics(test / temperature, labels[100:])
    assert found["test"]["temperature"] == temperature
    for name in ("nll", "brier", "ece"):
        assert found["test"][f"{name}_scaled"] == pytest.approx(scaled[name])
    assert "temperature" not in found["val"]
    assert found["test"]["accuracy"] == scaled["accuracy"]


def test_stored_logits_are_halves_below_the_largest_of_each_row() -> None:
    stored = as_stored(torch.tensor([[3000.1, 3000.0, 2998.0], [1e6, -1e6, math.nan], [0.5, 0, 0]]))
    assert stored.dtype == torch.float16
    assert stored[0].tolist() == pytest.approx([0, -0.1, -2.1], abs=1e-2)
    assert stored[1].isnan().any()
    assert as_stored(torch.tensor([[1e6, -1e6]])).tolist() == [[0, -65504]]


def test_logits_that_are_not_finite_have_no_calibration() -> None:
    logits, labels = random_logits()
    logits[3, 1] = math.nan
    found = metrics(logits, labels)
    assert 0 < found.pop("accuracy") < 1
    assert all(math.isnan(value) for value in found.values())
