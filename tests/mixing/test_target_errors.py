"""Invalid labels and outputs raise an error."""

import pytest
import torch
from torch import Tensor, nn

import layermix as lm
from layermix.mixing import MultiMixTarget


def target(labels: Tensor) -> lm.MixedTarget:
    return lm.MixedTarget(labels, labels, torch.tensor(0.5))


@pytest.mark.parametrize(("label", "shown"), [(3, "3"), (-1, "-1"), (-7, "-7")])
def test_labels_outside_the_classes_raise_an_error(label: int, shown: str) -> None:
    wrong = target(torch.tensor([0, label, 2]))
    expected = f"label {shown} is outside the 3 classes 0 to 2 of the output"
    logits = torch.randn(3, 3)
    for use in (
        lambda: wrong.loss(logits),
        lambda: wrong.dense(3),
        lambda: wrong.accuracy(logits),
    ):
        with pytest.raises(lm.InputError) as error:
            use()
        assert str(error.value) == expected


def test_partner_labels_outside_the_classes_raise_an_error() -> None:
    wrong = lm.MixedTarget(torch.tensor([0, 1]), torch.tensor([1, 3]), torch.tensor(0.5))
    logits = torch.randn(2, 3)
    for use in (
        lambda: wrong.loss(logits),
        lambda: wrong.dense(3),
        lambda: wrong.accuracy(logits),
    ):
        with pytest.raises(lm.InputError, match=r"^label 3 is outside the 3 classes 0 to 2"):
            use()


@pytest.mark.parametrize("kind", ["pairs", "multimix"])
def test_dense_rejects_int32_labels(kind: str) -> None:
    labels = torch.tensor([0, 1], dtype=torch.int32)
    with pytest.raises(lm.InputError) as error:
        (target(labels) if kind == "pairs" else MultiMixTarget(labels, torch.eye(2))).dense(2)
    assert str(error.value) == (
        "soft labels are made of integer classes (int64), but the labels are torch.int32 of shape "
        "(2,): convert them with .long()"
    )


@pytest.mark.parametrize("label", [-100, 0])
@pytest.mark.parametrize("kind", ["pairs", "multimix"])
def test_dense_rejects_ignored_labels(kind: str, label: int) -> None:
    labels = torch.tensor([label, 1])
    made = target(labels) if kind == "pairs" else MultiMixTarget(labels, torch.eye(2))
    if label == 0:
        assert made.dense(2).sum(1).tolist() == [1, 1]
        return
    with pytest.raises(lm.InputError, match=r"^label -100 is outside the 2 classes 0 to 1"):
        made.dense(2)


@pytest.mark.parametrize(
    ("labels", "description"),
    [
        (torch.tensor([0.0, 1.0]), "torch.float32 of shape (2,): convert them with .long()"),
        (
            torch.tensor([0, 1], dtype=torch.int32),
            "torch.int32 of shape (2,): convert them with .long()",
        ),
        (
            torch.tensor([[0, 1], [1, 0]]),
            "torch.int64 of shape (2, 2): convert one-hot labels with .argmax(dim=1), or soft "
            "labels (B, C) to floats",
        ),
        (torch.tensor([[0], [1]]), "torch.int64 of shape (2, 1): give one class for each example"),
        (torch.tensor(1), "torch.int64 of shape (): give one class for each example"),
    ],
)
def test_default_loss_rejects_labels_that_are_not_classes(labels: Tensor, description: str) -> None:
    expected = (
        "the default loss needs integer class labels (int64) of shape (B,), but the labels are "
        f"{description}, or pass another criterion"
    )
    with pytest.raises(lm.InputError) as error:
        target(labels).loss(torch.randn(2, 3))
    assert str(error.value) == expected


def test_output_of_part_of_the_batch_raises_an_error() -> None:
    with pytest.raises(lm.InputError) as error:
        target(torch.tensor([0, 1, 1])).loss(torch.randn(2, 3))
    assert str(error.value) == (
        "the output has 2 examples, but the labels have 3: pass the output of the whole batch"
    )


def test_dense_of_integer_labels_requires_num_classes() -> None:
    with pytest.raises(lm.InputError) as error:
        target(torch.tensor([0, 1])).dense()
    assert str(error.value) == "integer labels need num_classes to become soft labels"


def test_accuracy_rejects_float_labels() -> None:
    with pytest.raises(lm.InputError) as error:
        target(torch.tensor([0.0, 1.0, 2.0])).accuracy(torch.randn(3, 3))
    assert str(error.value) == (
        "accuracy needs integer class labels of shape (3,), but the labels are torch.float32 of "
        "shape (3,)"
    )


def test_label_smoothing_with_a_criterion_raises_an_error() -> None:
    with pytest.raises(lm.InputError) as error:
        target(torch.tensor([0, 1])).loss(
            torch.randn(2, 3), torch.nn.CrossEntropyLoss(), label_smoothing=0.1
        )
    assert str(error.value) == (
        "label_smoothing is a setting of the default loss, but a criterion was given: build the "
        "criterion with it"
    )


@pytest.mark.parametrize("output", [(torch.randn(2, 3),), {"scores": torch.randn(2, 3)}])
def test_output_without_logits_raises_an_error(output: object) -> None:
    with pytest.raises(lm.InputError) as error:
        target(torch.tensor([0, 1])).loss(output)
    assert str(error.value) == (
        "expected logits, or an output with .logits, but the model returned a "
        f"{type(output).__name__}: pass the logits"
    )


def test_custom_criterion_accepts_any_labels() -> None:
    values = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    loss = target(values).loss(torch.zeros(2, 2), torch.nn.MSELoss(reduction="none"))
    assert loss == 0.5


@pytest.mark.parametrize("ratio", [torch.tensor(0.3), torch.tensor([0.3, 0.6, 0.9, 0.2])])
def test_regression_labels_of_another_shape_raise_an_error(ratio: Tensor) -> None:
    target = lm.Plan("input", ratio, torch.arange(4)).target(torch.randn(4))
    with pytest.raises(lm.InputError) as error:
        target.loss(torch.randn(4, 1), nn.MSELoss())
    assert str(error.value) == (
        "the labels are floats of shape (4,), but the output has shape (4, 1), and MSELoss would "
        "broadcast them: give both the same shape, labels.view(4, 1)"
    )


def test_ratios_of_another_batch_size_raise_an_error() -> None:
    labels = torch.tensor([0, 1, 2, 0])
    wrong = lm.MixedTarget(labels, labels, torch.tensor([0.3, 0.6, 0.9]))
    for use in (lambda: wrong.loss(torch.randn(4, 3)), lambda: wrong.dense(3)):
        with pytest.raises(lm.InputError, match=r"^values of shape \(4,\) cannot be weighted by"):
            use()


def test_regression_labels_without_criterion_raise_an_error() -> None:
    target = lm.Plan("input", torch.tensor(0.3), torch.arange(4)).target(torch.randn(4, 1))
    with pytest.raises(lm.InputError) as error:
        target.loss(torch.randn(4, 1))
    assert str(error.value) == (
        "the labels are floats of shape (4, 1), like the output, and the default loss of one "
        "column is always zero: pass a criterion, torch.nn.MSELoss() for regression or "
        "torch.nn.BCEWithLogitsLoss() for two classes"
    )
