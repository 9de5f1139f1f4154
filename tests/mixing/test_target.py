"""MixedTarget: loss, accuracy and soft labels."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import layermix as lm

EXAMPLES = settings(max_examples=60, deadline=None, derandomize=True)


@st.composite
def cases(draw: st.DrawFn) -> tuple[Tensor, lm.MixedTarget]:
    """Draw logits of 2 to 7 classes with batch size 1 to 17, and a target for them."""
    size, classes = draw(st.integers(1, 17)), draw(st.integers(2, 7))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    logits = 3 * torch.randn(size, classes, generator=generator, dtype=torch.float64)
    labels, partners = (torch.randint(classes, (size,), generator=generator) for _ in range(2))
    shape = draw(st.sampled_from([(), (size,)]))
    ratio = torch.rand(shape, generator=generator, dtype=torch.float64)
    return logits, lm.MixedTarget(labels, partners, ratio)


@EXAMPLES
@given(cases())
def test_soft_labels_are_probability_distributions(case: tuple[Tensor, lm.MixedTarget]) -> None:
    logits, target = case
    soft = target.dense(logits.shape[1])
    assert soft.shape == logits.shape
    assert (soft >= 0).all()
    torch.testing.assert_close(soft.sum(1), torch.ones(len(soft), dtype=soft.dtype))


@EXAMPLES
@given(cases())
def test_loss_equals_cross_entropy_of_soft_labels(case: tuple[Tensor, lm.MixedTarget]) -> None:
    logits, target = case
    soft = F.cross_entropy(logits, target.dense(logits.shape[1], torch.float64))
    torch.testing.assert_close(target.loss(logits), soft)


@EXAMPLES
@given(cases())
def test_accuracy_weights_both_labels(case: tuple[Tensor, lm.MixedTarget]) -> None:
    logits, target = case
    prediction = F.one_hot(logits.argmax(1), logits.shape[1])
    expected = (prediction * target.dense(logits.shape[1], torch.float64)).sum(1).mean()
    torch.testing.assert_close(target.accuracy(logits), expected)


def focal(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the focal loss of each example (Lin et al., 2017), gamma = 2."""
    loss = F.cross_entropy(logits, labels, reduction="none")
    return (1 - torch.exp(-loss)) ** 2 * loss


def distance(outputs: Tensor, values: Tensor) -> Tensor:
    """Return the L1 loss of each example, with its label as a number."""
    return (outputs[:, 0] - values).abs()


def margin(logits: Tensor, labels: Tensor) -> Tensor:
    return F.multi_margin_loss(logits, labels, reduction="none")


@pytest.mark.parametrize("criterion", [focal, distance, margin])
@pytest.mark.parametrize("ratio", [torch.tensor(0.3), torch.tensor([0.3, 0.9, 0.0, 1.0])])
def test_custom_criterion_uses_the_two_loss_form(
    criterion: Callable[[Tensor, Tensor], Tensor], ratio: Tensor
) -> None:
    logits = torch.randn(4, 3)
    target = lm.MixedTarget(torch.tensor([0, 1, 2, 0]), torch.tensor([2, 1, 0, 1]), ratio)
    ratios = ratio.expand(4).tolist()
    expected = [
        lam * criterion(logits[i : i + 1], target.labels[i : i + 1])
        + (1 - lam) * criterion(logits[i : i + 1], target.partner_labels[i : i + 1])
        for i, lam in enumerate(ratios)
    ]
    torch.testing.assert_close(target.loss(logits, criterion), torch.cat(expected).mean())


def test_regression_mixes_losses_instead_of_labels() -> None:
    target = lm.MixedTarget(torch.tensor([0.0]), torch.tensor([4.0]), torch.tensor(0.5))
    loss = target.loss(torch.tensor([[2.0]]), distance)
    assert loss == 2.0  # the loss of the mixed label 2.0 would be 0


def test_mean_criterion_is_accepted_with_one_ratio() -> None:
    logits, y = torch.randn(4, 3), torch.tensor([0, 1, 2, 0])
    target = lm.MixedTarget(y, y.flip(0), torch.tensor(0.3))
    mean = target.loss(logits, torch.nn.CrossEntropyLoss())
    torch.testing.assert_close(mean, target.loss(logits))


def test_mean_criterion_with_ratio_per_example_raises_an_error() -> None:
    y = torch.tensor([0, 1])
    target = lm.MixedTarget(y, y, torch.tensor([0.3, 0.4]))
    with pytest.raises(lm.InputError) as error:
        target.loss(torch.randn(2, 3), torch.nn.functional.cross_entropy)
    assert str(error.value) == (
        "each example has its own ratio, but the criterion returned one mean for 2 examples: "
        'it must return one loss for each, as with reduction="none"'
    )


@pytest.mark.parametrize("ratio", [torch.tensor(0.3), torch.tensor([0.3, 0.9, 0.5, 1.0])])
def test_dense_predictions_are_weighted_by_example(ratio: Tensor) -> None:
    logits, y = torch.randn(4, 3, 4, 4), torch.randint(3, (4, 4, 4))
    target = lm.MixedTarget(y, y.flip(0), ratio)
    loss, hits = torch.zeros(()), torch.zeros(())
    for i, lam in enumerate(ratio.expand(4)):
        one = logits[i : i + 1]
        for weight, labels in ((lam, y[i : i + 1]), (1 - lam, y[3 - i : 4 - i])):
            loss += weight * F.cross_entropy(one, labels) / 4
            hits += weight * (one.argmax(1) == labels).float().mean() / 4
    per_pixel = torch.nn.CrossEntropyLoss(reduction="none")
    torch.testing.assert_close(target.loss(logits, per_pixel), loss)
    torch.testing.assert_close(target.accuracy(logits), hits)
