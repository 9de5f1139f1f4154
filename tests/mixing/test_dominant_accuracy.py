"""Dominant accuracy: the accuracy against the label with the largest weight."""

import pytest
import torch

import layermix as lm
from layermix.mixing import AppendClean, MultiMixTarget

LABELS, PARTNER = torch.tensor([0, 1, 2, 0]), torch.tensor([1, 2, 3, 0])


def test_predicting_the_larger_label_is_correct_at_any_ratio() -> None:
    ratio = torch.tensor([0.9, 0.2, 0.6, 0.4])
    target = lm.Plan("input", ratio, PARTNER).target(LABELS)
    larger = torch.where(ratio >= 0.5, LABELS, LABELS[PARTNER])
    perfect = torch.nn.functional.one_hot(larger, 3).float()
    assert target.dominant_accuracy(perfect) == 1
    # Example 3 and its partner have the same class.
    assert target.accuracy(perfect) == pytest.approx((0.9 + 0.8 + 0.6 + 1.0) / 4)
    assert target.dominant_accuracy(-perfect) == 0
    assert target.dominant_accuracy(-perfect, k=3) == 1


def test_perfect_prediction_of_ten_classes_has_accuracy_0_78() -> None:
    mixer = lm.Mixer(torch.nn.Linear(2, 10), at="input", alpha=1.0, seed=0, per="sample")
    labels = torch.arange(20_000) % 10
    target = mixer.draw(20_000).target(labels)
    assert isinstance(target, lm.MixedTarget)
    larger = torch.where(target.ratio >= 0.5, target.labels, target.partner_labels)
    perfect = torch.nn.functional.one_hot(larger, 10).float()
    assert target.dominant_accuracy(perfect) == 1
    assert float(target.accuracy(perfect)) == pytest.approx(0.75 + 0.25 / 10, abs=0.01)


def test_dominant_accuracy_excludes_ignored_labels() -> None:
    labels = torch.tensor([0, -100, 2, 0])
    target = lm.Plan("input", torch.tensor(0.8), PARTNER).target(labels)
    output = torch.nn.functional.one_hot(torch.tensor([0, 1, 1, 0]), 3).float()
    assert target.dominant_accuracy(output) == pytest.approx(2 / 3)


def test_soft_labels_and_multimix_have_dominant_accuracy() -> None:
    soft = torch.tensor([[0.6, 0.4, 0.0], [0.1, 0.2, 0.7]])
    target = lm.Plan("input", torch.tensor(0.9), torch.tensor([1, 0])).target(soft)
    assert target.dominant_accuracy(torch.tensor([[1.0, 0, 0], [1.0, 0, 0]])) == 0.5
    many = MultiMixTarget(LABELS, torch.tensor([[0.3, 0.4, 0.0, 0.3], [0.0, 0.2, 0.8, 0.0]]))
    assert many.dominant_accuracy(torch.tensor([[1.0, 0, 0], [0, 0, 1.0]])) == 1


def test_append_clean_counts_clean_and_mixed_examples() -> None:
    plan = lm.Plan("input", torch.tensor(0.3), PARTNER, AppendClean())
    output = torch.nn.functional.one_hot(torch.cat([LABELS, LABELS[PARTNER]]), 3).float()
    assert plan.target(LABELS).dominant_accuracy(output) == 1


def test_mapping_of_labels_returns_one_value_per_label() -> None:
    plan = lm.Plan("input", torch.tensor(0.8), PARTNER)
    output = torch.nn.functional.one_hot(LABELS, 3).float()
    found = plan.target({"kind": LABELS}).dominant_accuracy({"kind": output})
    assert found == {"kind": 1}


def test_output_without_classes_raises_an_error() -> None:
    target = lm.Plan("input", torch.tensor(0.8), PARTNER).target(LABELS)
    with pytest.raises(lm.InputError, match="accuracy needs an output with two classes"):
        target.dominant_accuracy(torch.randn(4, 1))
