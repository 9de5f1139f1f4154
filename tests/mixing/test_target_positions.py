"""Labels of positions use the mask of the mix; labels of other shapes raise an error."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import layermix as lm
from layermix.mixing import Cut
from layermix.mixing.blends.base import Draws
from layermix.mixing.targets.weighting import ratio_of

PARTNER = torch.tensor([2, 0, 3, 1])
MAPS, TOKENS, VIDEO = (4, 3, 6, 4), (4, 3, 12), (4, 3, 3, 6, 4)


def mask(*size: int) -> Tensor:
    """Return different values between 0 and 1 for 4 examples and all positions."""
    count = torch.Size(size).numel()
    return (torch.arange(4.0)[:, None] / 4 + torch.arange(count) / (4 * count)).view(4, *size)


@dataclass(frozen=True)
class FixedMask(Cut):
    """A blend with a fixed mask."""

    def mask(self, size: tuple[int, ...], other: Tensor, ratio: Tensor, draws: Draws) -> Tensor:
        return mask(*size)


def mixed_target(labels: Tensor, shape: tuple[int, ...]) -> lm.MixedTarget:
    plan = lm.Plan("input", torch.full((4,), 0.5), PARTNER, FixedMask())
    _, target = lm.mix(torch.zeros(shape), plan, labels)
    assert isinstance(target, lm.MixedTarget)
    return target


def dice(output: Tensor, labels: Tensor) -> Tensor:
    """Return the Dice loss of each example, (B,)."""
    own = output.softmax(1)[:, 1].flatten(1)
    wanted = labels.flatten(1).to(own.dtype)
    return 1 - 2 * (own * wanted).sum(1) / (own.sum(1) + wanted.sum(1) + 1)


def dice_per_class(output: Tensor, labels: Tensor) -> Tensor:
    """Return the Dice loss of each example and class, (B, C)."""
    return torch.stack([dice(output, labels), dice(output.flip(1), 1 - labels)], 1)


@pytest.mark.parametrize("shape", [MAPS, (4, 3, 4, 4), (4, 3, 3, 5)])
@pytest.mark.parametrize("criterion", [dice, dice_per_class])
def test_loss_per_example_uses_the_mean_of_the_mask(
    criterion: Callable[[Tensor, Tensor], Tensor], shape: tuple[int, ...]
) -> None:
    size = shape[2:]
    labels, output = torch.randint(2, (4, *size)), torch.randn(4, 2, *size)
    share, expected = mask(*size).flatten(1).mean(1), 0.0
    own, other = criterion(output, labels), criterion(output, labels[PARTNER])
    for i in range(4):
        expected += float((share[i] * own[i] + (1 - share[i]) * other[i]).mean()) / 4
    assert float(mixed_target(labels, shape).loss(output, criterion)) == pytest.approx(expected)


def test_loss_per_class_and_pixel_uses_the_mask_of_the_pixel() -> None:
    labels, output = torch.randint(2, (4, 6, 4)), torch.randn(4, 2, 6, 4)

    def squares(output: Tensor, labels: Tensor) -> Tensor:
        return (output - F.one_hot(labels, 2).movedim(-1, 1)) ** 2

    share = mask(6, 4)[:, None]
    expected = share * squares(output, labels) + (1 - share) * squares(output, labels[PARTNER])
    torch.testing.assert_close(mixed_target(labels, MAPS).loss(output, squares), expected.mean())


def test_losses_of_invalid_shape_raise_an_error() -> None:
    target, output = mixed_target(torch.randint(2, (4, 6, 4)), MAPS), torch.randn(4, 2, 6, 4)
    with pytest.raises(lm.InputError, match=r"^values of shape \(4, 3, 4\) cannot be weighted by"):
        target.loss(output, lambda z, y: torch.ones(4, 3, 4))
    with pytest.raises(lm.InputError) as error:
        target.loss(output, lambda z, y: torch.ones(96))
    assert str(error.value) == (
        "each position has its own ratio, but the criterion returned losses of shape (96,) "
        'for 4 examples: it must return one loss for each, as with reduction="none"'
    )
    with pytest.raises(lm.InputError, match=r"^each position has .* returned one mean"):
        target.loss(output, F.cross_entropy)


@pytest.mark.parametrize("soft", [False, True])
def test_token_label_loss_equals_loss_of_mixed_labels(soft: bool) -> None:
    labels, output = torch.randint(3, (4, 12)), torch.randn(4, 3, 12)
    hot = F.one_hot(labels, 3).movedim(-1, 1).float()  # (B, C, L)
    share = mask(12)[:, None]
    expected = F.cross_entropy(output, share * hot + (1 - share) * hot[PARTNER])
    target = mixed_target(hot if soft else labels, TOKENS)
    torch.testing.assert_close(target.loss(output), expected)


def nearest_reference(mask: Tensor, size: tuple[int, ...]) -> Tensor:
    """Return the mask resized to another size, with the value nearest to each center."""
    for dim, count in enumerate(size, start=1):
        length = mask.shape[dim]
        index = torch.tensor([int((i + 0.5) * length / count) for i in range(count)])
        mask = mask.index_select(dim, index)
    return mask


@pytest.mark.parametrize("size", [(9, 7), (3, 2), (13, 5), (12, 8)])
def test_labels_of_another_resolution_use_nearest_position(size: tuple[int, ...]) -> None:
    target = mixed_target(torch.zeros(4, *size).long(), MAPS)
    assert target.ratio.equal(nearest_reference(mask(6, 4), size))


@pytest.mark.parametrize("count", [24, 36, 4, 3])
def test_token_labels_accept_multiples_and_fractions_of_length(count: int) -> None:
    target = mixed_target(torch.zeros(4, count).long(), TOKENS)
    assert target.ratio.equal(nearest_reference(mask(12), (count,)))


PER_EXAMPLE = [
    (torch.zeros(4).long(), TOKENS),
    (torch.zeros(4, 1).long(), TOKENS),
    (torch.zeros(4, 12), TOKENS),
    (torch.zeros(4, 5), TOKENS),
    (torch.zeros(4, 5, 1), TOKENS),
    (torch.zeros(4, 5).long(), MAPS),
    (torch.zeros(4, 1, 1).long(), MAPS),
    (torch.zeros(4, 5, 1, 1), MAPS),
    (torch.zeros(4, 5).long(), VIDEO),
]


@pytest.mark.parametrize(("labels", "shape"), PER_EXAMPLE)
def test_labels_per_example_use_the_mean_of_the_mask(
    labels: Tensor, shape: tuple[int, ...]
) -> None:
    torch.testing.assert_close(
        mixed_target(labels, shape).ratio, mask(*shape[2:]).flatten(1).double().mean(1)
    )


INVALID = [
    (torch.zeros(4, 5).long(), TOKENS, "12 tokens"),
    (torch.zeros(4, 40).long(), TOKENS, "12 tokens"),
    (torch.zeros(4, 6, 4).long(), TOKENS, "12 tokens"),
    (torch.zeros(4, 6, 4), TOKENS, "12 tokens"),
    (torch.zeros(4, 3, 6, 4), TOKENS, "12 tokens"),
    (torch.zeros(4, 2, 3, 6, 4), MAPS, "6 x 4 positions"),
    (torch.zeros(4, 6, 4).long(), VIDEO, "3 x 6 x 4 positions"),
    (torch.zeros(4, 6, 4), VIDEO, "3 x 6 x 4 positions"),
]


@pytest.mark.parametrize(("labels", "shape", "where"), INVALID)
def test_labels_of_other_positions_raise_an_error(
    labels: Tensor, shape: tuple[int, ...], where: str
) -> None:
    remedy = (
        "pass values of the whole example as labels.flatten(1)"
        if labels.is_floating_point()
        else "pass several classes of each example as a mapping, {'a': labels[:, 0], ...}"
    )
    with pytest.raises(lm.InputError) as error:
        mixed_target(labels, shape)
    assert str(error.value) == (
        f"the labels have shape {tuple(labels.shape)}, which does not fit the {where} that were "
        f"mixed: {remedy}. For labels of positions, mix at a point with these positions, or use "
        "blend='linear'"
    )


def test_several_integer_labels_per_pixel_use_the_mask() -> None:
    labels = torch.randint(2, (4, 5, 6, 4))
    assert mixed_target(labels, MAPS).ratio.equal(mask(6, 4)[:, None])


def test_ratio_has_the_dtype_of_the_weight() -> None:
    kept = torch.tensor([[True, False]])
    found = ratio_of(torch.tensor(0.5, dtype=torch.float64), kept, torch.zeros(3, 2).long())
    assert found.equal(torch.tensor([[1.0, 0.0]], dtype=torch.float64))


def test_mean_criterion_is_averaged_over_pixels() -> None:
    labels, output = torch.randn(4, 2, 6, 4), torch.randn(4, 2, 6, 4)
    share = mask(6, 4)[:, None]
    expected = share * (output - labels).abs() + (1 - share) * (output - labels[PARTNER]).abs()
    torch.testing.assert_close(
        mixed_target(labels, MAPS).loss(output, nn.L1Loss()), expected.mean()
    )
