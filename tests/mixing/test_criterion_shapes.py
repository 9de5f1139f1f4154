"""A criterion does not broadcast the label of one example against the outputs of others."""

import functools
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import layermix as lm
from layermix.mixing import MultiMixTarget

PARTNER = torch.tensor([2, 0, 1])


def target(labels: Tensor) -> lm.MixedTarget:
    made = lm.Plan("final", torch.tensor(0.3), PARTNER).target(labels)
    assert isinstance(made, lm.MixedTarget)
    return made


def randn(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


SHAPES = [((3,), (3, 1)), ((3, 1), (3,)), ((3, 2, 2), (3, 1, 2, 2)), ((3, 1, 2), (3, 2))]


@pytest.mark.parametrize("integers", [True, False])
@pytest.mark.parametrize(("of_labels", "of_output"), SHAPES)
@pytest.mark.parametrize("criterion", [nn.L1Loss(), nn.BCEWithLogitsLoss(), F.mse_loss])
def test_labels_are_not_broadcast_against_all_outputs(
    of_labels: tuple[int, ...], of_output: tuple[int, ...], integers: bool, criterion: Any
) -> None:
    labels = torch.randint(2, of_labels)
    kind = "integers" if integers else "floats"
    shape = ", ".join(map(str, of_output))
    with pytest.raises(lm.InputError) as error:
        target(labels if integers else labels.float()).loss(torch.randn(of_output), criterion)
    assert str(error.value) == (
        f"the labels are {kind} of shape {of_labels}, but the output has shape {of_output}, and "
        f"{getattr(criterion, '__name__', type(criterion).__name__)} would broadcast them: "
        f"give both the same shape, labels.view({shape})"
    )


class SquaredError(nn.Module):
    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        return (z - y).square()


class DoubledMSELoss(nn.MSELoss):
    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return 2 * super().forward(input, target)


@pytest.mark.parametrize("size", [1, 2, 4])
@pytest.mark.parametrize(
    "criterion",
    [
        SquaredError(),
        DoubledMSELoss(),
        lambda z, y: (z - y.float()).square(),
        lambda z, y: F.mse_loss(z, y),
    ],
)
def test_custom_criterion_that_broadcasts_raises_an_error(criterion: Any, size: int) -> None:
    for of_labels, of_output in (
        ((size,), (size, 1)),
        ((size, 1), (size,)),
        ((size,), 2 * (size,)),
    ):
        for labels in (torch.rand(of_labels), torch.randint(2, of_labels)):
            if len(of_output) > 1 and of_output[1] > 1 and not labels.is_floating_point():
                continue  # class labels
            made = lm.MixedTarget.clean(labels)
            with pytest.raises(lm.InputError, match=r"would broadcast them"):
                made.loss(torch.randn(of_output), criterion)


@pytest.mark.usefixtures("fresh_compiler")
def test_compiled_loss_that_broadcasts_raises_an_error() -> None:
    numbers = target(torch.randn(3))

    @torch.compile(backend="eager")
    def loss(output: Tensor) -> Tensor:
        return numbers.loss(output, lambda z, y: (z - y).square().mean())

    with pytest.raises(lm.InputError, match="would broadcast them"):
        loss(torch.randn(3, 1))
    output = torch.randn(3)
    torch.testing.assert_close(loss(output), numbers.loss(output, nn.MSELoss()))


@pytest.mark.parametrize("size", [1, 2, 4])
@pytest.mark.parametrize("each", [False, True])
@pytest.mark.parametrize(
    "function",
    [
        lambda z, y, how: F.mse_loss(z.squeeze(1), y, reduction=how),
        lambda z, y, how: F.mse_loss(z.flatten(), y.flatten(), reduction=how),
        lambda z, y, how: F.mse_loss(z, y[:, None], reduction=how),
        lambda z, y, how: F.mse_loss(z[:, 0], y, reduction=how),
    ],
)
def test_criterion_that_matches_shapes_is_accepted(function: Any, each: bool, size: int) -> None:
    output, numbers, partner = randn(size, 1), randn(size), torch.arange(size).roll(1)
    ratio = torch.rand(size) if each else torch.tensor(0.3)
    lam = ratio.double()
    losses = [(output[:, 0] - y).square() for y in (numbers, numbers[partner])]
    found = (
        lm.Plan("final", ratio, partner)
        .target(numbers)
        .loss(output, functools.partial(function, how="none" if each else "mean"))
    )
    torch.testing.assert_close(found, (lam * losses[0] + (1 - lam) * losses[1]).mean())


@pytest.mark.parametrize("shapes", [((4, 1), (4, 3)), ((4, 3), (4, 1)), ((3,), (3, 3))])
@pytest.mark.parametrize("criterion", [nn.MSELoss(), nn.L1Loss(), F.huber_loss, nn.KLDivLoss()])
def test_labels_and_output_of_different_size_raise_an_error(shapes: Any, criterion: Any) -> None:
    made = lm.MixedTarget.clean(torch.rand(shapes[0]))
    for use in (criterion, lambda z, y: F.l1_loss(z, y)):
        with pytest.raises(lm.InputError, match=r"the model must return one value for each label$"):
            made.loss(torch.randn(shapes[1]), use)


def test_criterion_may_broadcast_within_one_example() -> None:
    output, numbers, levels = randn(4, 3), randn(4, 1), torch.tensor([0.1, 0.5, 0.9])

    def pinball(z: Tensor, y: Tensor) -> Tensor:
        return torch.maximum(levels * (y - z), (levels - 1) * (y - z)).mean()

    made = lm.MixedTarget.clean(numbers)
    torch.testing.assert_close(made.loss(output, pinball), pinball(output, numbers))


def test_integer_labels_of_output_shape_are_compared_elementwise() -> None:
    output, ages = randn(3, 1), torch.tensor([[18], [40], [77]])
    lam = torch.tensor(0.3).double()
    expected = (lam * (output - ages).abs() + (1 - lam) * (output - ages[PARTNER]).abs()).mean()
    torch.testing.assert_close(target(ages).loss(output, nn.L1Loss()), expected)


@pytest.mark.parametrize(("of_labels", "of_output"), [((3,), (9, 1)), ((3, 1), (9,))])
def test_multimix_labels_are_not_broadcast(
    of_labels: tuple[int, ...], of_output: tuple[int, ...]
) -> None:
    made = MultiMixTarget(torch.randn(of_labels), torch.rand(9, 3).softmax(1))
    with pytest.raises(lm.InputError, match=r"would broadcast them"):
        made.loss(torch.randn(of_output), nn.MSELoss())


def test_multimix_class_labels_reject_output_without_classes() -> None:
    made = MultiMixTarget(torch.tensor([0, 2, 2]), torch.rand(9, 3).softmax(1))
    with pytest.raises(lm.InputError, match=r"^the labels are integers of shape \(3,\) and the"):
        made.loss(torch.randn(9), nn.MSELoss())
