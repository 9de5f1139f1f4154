"""Accuracy of mixed targets: the share of the label weight on the predicted classes."""

from typing import Any, cast

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import layermix as lm
from layermix.mixing import AppendCleanTarget, MultiMixTarget
from mixed_labels import LABELS, PARTNER, randn, target

RATIOS = [torch.tensor(0.3), torch.tensor([0.3, 0.9, 0.123, 1.0])]
MULTILABEL = torch.tensor([[1, 1, 0], [0, 0, 0], [1, 1, 1], [0, 1, 0]]).float()
SCORES = torch.tensor([[3.0, 2, 1], [3, 2, 1], [1, 2, 3], [1, 3, 2]])


def test_multilabel_accuracy_is_the_share_of_predicted_labels() -> None:
    clean = lm.MixedTarget.clean(MULTILABEL)
    # of 6 labels, the top-1 predictions match one in the first, third and fourth example
    assert clean.accuracy(SCORES) == pytest.approx(3 / 6)
    assert clean.accuracy(SCORES, k=2) == pytest.approx(5 / 6)
    assert clean.accuracy(SCORES, k=3) == 1


@pytest.mark.parametrize("ratio", RATIOS)
def test_accuracy_of_mixed_labels_is_weighted_by_ratio(ratio: Tensor) -> None:
    mixed = target(MULTILABEL, ratio).dense()
    predictions = SCORES.topk(2).indices
    expected = mixed.gather(1, predictions).sum() / mixed.sum()
    torch.testing.assert_close(target(MULTILABEL, ratio).accuracy(SCORES, 2), expected)


@given(st.integers(0, 2**31), st.integers(1, 6), st.booleans())
def test_accuracy_is_between_zero_and_one(seed: int, k: int, many: bool) -> None:
    generator = torch.Generator().manual_seed(seed)
    labels = (torch.rand(4, 5, generator=generator) > 0.4).float()
    labels[0, 0] = 1
    logits = torch.randn(4, 5, generator=generator)
    weights = torch.rand(4, 4, generator=generator).softmax(1)
    made = MultiMixTarget(labels, weights) if many else target(labels)
    share = float(made.accuracy(logits, k))
    assert 0 <= share <= 1 + 1e-6
    assert k < 5 or share == pytest.approx(1)


def test_append_clean_accuracy_averages_all_labels() -> None:
    first = lm.MixedTarget.clean(torch.tensor([0, -100]))
    second = lm.MixedTarget.clean(torch.tensor([1, 0]))
    logits = torch.eye(3)[[0, 0, 0, 0]]
    assert AppendCleanTarget(first, second, 1.0).accuracy(logits) == pytest.approx(2 / 3)


@pytest.mark.parametrize("many", [False, True])
def test_accuracy_rejects_negative_labels(many: bool) -> None:
    labels = MULTILABEL.clone()
    labels[0, 0] = -0.5
    made: Any = MultiMixTarget(labels, torch.eye(4)) if many else target(labels)
    with pytest.raises(lm.InputError) as error:
        made.accuracy(SCORES)
    assert str(error.value) == (
        "accuracy needs soft labels >= 0, but the smallest label is -0.5: regression targets have "
        "no accuracy"
    )


@pytest.mark.parametrize("many", [False, True])
def test_accuracy_rejects_single_column_output(many: bool) -> None:
    labels = torch.ones(4, 1)
    made: Any = MultiMixTarget(labels, torch.eye(4)) if many else target(labels)
    with pytest.raises(lm.InputError, match=r"^accuracy needs an output with two classes or more"):
        made.accuracy(torch.randn(4, 1))


def test_multimix_accuracy_rejects_regression_labels() -> None:
    made = MultiMixTarget(torch.rand(4), torch.eye(4))
    with pytest.raises(lm.InputError, match=r"^accuracy needs integer class labels of shape \(4,"):
        made.accuracy(torch.randn(4, 3))


def test_accuracy_of_perfect_predictions_is_one() -> None:
    ratio, labels = torch.rand(32), torch.randint(10, (32,))
    plan = lm.Plan("input", ratio, torch.randperm(32))
    for made in (plan.target(F.one_hot(labels, 10).float()), plan.target(labels)):
        assert made.accuracy(made.dense(10) + 0.001 * torch.rand(32, 10), k=2) == 1
        assert made.accuracy(randn(32, 10)).dtype == torch.float64


def test_mapping_of_labels_returns_accuracy_and_nll_per_label() -> None:
    labels, output = {"a": LABELS, "b": LABELS % 2}, {"a": randn(4, 3), "b": randn(4, 2)}
    made = lm.Plan("final", torch.tensor(0.3), PARTNER).target(labels)
    for name, logits in output.items():
        one = target(labels[name])
        assert made.accuracy(output, k=1)[name] == one.accuracy(logits)
        assert made.nll(output)[name] == one.nll(logits)
    with pytest.raises(lm.InputError, match=r"^the labels are a mapping with 'a', but the output"):
        made.accuracy(cast(Any, output["a"]))
    numbers = lm.Plan("final", torch.tensor(0.3), PARTNER).target({"a": randn(4, 1)})
    with pytest.raises(lm.InputError, match=r"^target 'a': accuracy needs an output with two"):
        numbers.accuracy({"a": randn(4, 1)})


@pytest.mark.parametrize("k", [0, -1, 1.5])
def test_accuracy_requires_positive_integer_k(k: Any) -> None:
    with pytest.raises(lm.InputError, match=r"^k is .*, but must be a whole number >= 1$"):
        target(LABELS).accuracy(randn(4, 3), k=k)
