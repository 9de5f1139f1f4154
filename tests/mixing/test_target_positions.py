"""Labels of positions follow the mask of what was mixed, or are refused by name."""

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
    """Return a share between 0 and 1 for each of 4 examples and position, all different."""
    count = torch.Size(size).numel()
    return (torch.arange(4.0)[:, None] / 4 + torch.arange(count) / (4 * count)).view(4, *size)


@dataclass(frozen=True)
class Given(Cut):
    """A blend with masks known beforehand."""

    def mask(self, size: tuple[int, ...], other: Tensor, ratio: Tensor, draws: Draws) -> Tensor:
        return mask(*size)


def cut(labels: Tensor, shape: tuple[int, ...]) -> lm.MixedTarget:
    plan = lm.Plan("input", torch.full((4,), 0.5), PARTNER, Given())
    _, target = lm.mix(torch.zeros(shape), plan, labels)
    assert isinstance(target, lm.MixedTarget)
    return target


def dice(output: Tensor, labels: Tensor) -> Tensor:
    """Return a Dice loss of each example, (B,)."""
    own = output.softmax(1)[:, 1].flatten(1)
    wanted = labels.flatten(1).to(own.dtype)
    return 1 - 2 * (own * wanted).sum(1) / (own.sum(1) + wanted.sum(1) + 1)


def dice_of_each_class(output: Tensor, labels: Tensor) -> Tensor:
    """Return a Dice loss of each class of each example, (B, C)."""
    return torch.stack([dice(output, labels), dice(output.flip(1), 1 - labels)], 1)


@pytest.mark.parametrize("shape", [MAPS, (4, 3, 4, 4), (4, 3, 3, 5)])
@pytest.mark.parametrize("criterion", [dice, dice_of_each_class])
def test_a_loss_of_each_example_gets_the_mean_share_of_its_positions(
    criterion: Callable[[Tensor, Tensor], Tensor], shape: tuple[int, ...]
) -> None:
    size = shape[2:]
    labels, output = torch.randint(2, (4, *size)), torch.randn(4, 2, *size)
    share, expected = mask(*size).flatten(1).mean(1), 0.0
    own, other = criterion(output, labels), criterion(output, labels[PARTNER])
    for i in range(4):
        expected += float((share[i] * own[i] + (1 - share[i]) * other[i]).mean()) / 4
    assert float(cut(labels, shape).loss(output, criterion)) == pytest.approx(expected)


def test_a_loss_of_each_class_and_pixel_gets_the_share_of_its_pixel() -> None:
    labels, output = torch.randint(2, (4, 6, 4)), torch.randn(4, 2, 6, 4)

    def squares(output: Tensor, labels: Tensor) -> Tensor:
        return (output - F.one_hot(labels, 2).movedim(-1, 1)) ** 2

    share = mask(6, 4)[:, None]
    expected = share * squares(output, labels) + (1 - share) * squares(output, labels[PARTNER])
    torch.testing.assert_close(cut(labels, MAPS).loss(output, squares), expected.mean())


def test_losses_of_another_shape_than_the_labels_are_refused() -> None:
    target, output = cut(torch.randint(2, (4, 6, 4)), MAPS), torch.randn(4, 2, 6, 4)
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
def test_labels_of_tokens_have_the_loss_of_labels_mixed_token_by_token(soft: bool) -> None:
    labels, output = torch.randint(3, (4, 12)), torch.randn(4, 3, 12)
    hot = F.one_hot(labels, 3).movedim(-1, 1).float()  # (B, C, L)
    share = mask(12)[:, None]
    expected = F.cross_entropy(output, share * hot + (1 - share) * hot[PARTNER])
    target = cut(hot if soft else labels, TOKENS)
    torch.testing.assert_close(target.loss(output), expected)


def nearest(mask: Tensor, size: tuple[int, ...]) -> Tensor:
    """Return the mask at the position below the middle of each position of another size."""
    for dim, count in enumerate(size, start=1):
        length = mask.shape[dim]
        index = torch.tensor([int((i + 0.5) * length / count) for i in range(count)])
        mask = mask.index_select(dim, index)
    return mask


@pytest.mark.parametrize("size", [(9, 7), (3, 2), (13, 5), (12, 8)])
def test_labels_of_another_resolution_take_the_nearest_position(size: tuple[int, ...]) -> None:
    target = cut(torch.zeros(4, *size).long(), MAPS)
    assert target.ratio.equal(nearest(mask(6, 4), size))


@pytest.mark.parametrize("count", [24, 36, 4, 3])
def test_labels_of_tokens_may_have_a_multiple_or_a_part_of_the_length(count: int) -> None:
    target = cut(torch.zeros(4, count).long(), TOKENS)
    assert target.ratio.equal(nearest(mask(12), (count,)))


WHOLE = [
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


@pytest.mark.parametrize(("labels", "shape"), WHOLE)
def test_labels_of_the_whole_example_get_its_share(labels: Tensor, shape: tuple[int, ...]) -> None:
    torch.testing.assert_close(
        cut(labels, shape).ratio, mask(*shape[2:]).flatten(1).double().mean(1)
    )


OTHERS = [
    (torch.zeros(4, 5).long(), TOKENS, "12 tokens"),
    (torch.zeros(4, 40).long(), TOKENS, "12 tokens"),
    (torch.zeros(4, 6, 4).long(), TOKENS, "12 tokens"),
    (torch.zeros(4, 6, 4), TOKENS, "12 tokens"),
    (torch.zeros(4, 3, 6, 4), TOKENS, "12 tokens"),
    (torch.zeros(4, 2, 3, 6, 4), MAPS, "6 x 4 positions"),
    (torch.zeros(4, 6, 4).long(), VIDEO, "3 x 6 x 4 positions"),
    (torch.zeros(4, 6, 4), VIDEO, "3 x 6 x 4 positions"),
]


@pytest.mark.parametrize(("labels", "shape", "where"), OTHERS)
def test_labels_of_other_positions_are_refused(
    labels: Tensor, shape: tuple[int, ...], where: str
) -> None:
    remedy = (
        "pass values of the whole example as labels.flatten(1)"
        if labels.is_floating_point()
        else "pass several classes of each example as a mapping, {'a': labels[:, 0], ...}"
    )
    with pytest.raises(lm.InputError) as error:
        cut(labels, shape)
    assert str(error.value) == (
        f"the labels have shape {tuple(labels.shape)}, which does not fit the {where} that were "
        f"mixed: {remedy}. For labels of positions, mix at a point with these positions, or use "
        "blend='linear'"
    )


def test_integers_of_several_kinds_at_each_pixel_follow_the_cut() -> None:
    labels = torch.randint(2, (4, 5, 6, 4))
    assert cut(labels, MAPS).ratio.equal(mask(6, 4)[:, None])


def test_the_ratio_has_the_dtype_of_the_weight() -> None:
    kept = torch.tensor([[True, False]])
    found = ratio_of(torch.tensor(0.5, dtype=torch.float64), kept, torch.zeros(3, 2).long())
    assert found.equal(torch.tensor([[1.0, 0.0]], dtype=torch.float64))


def test_a_module_that_takes_the_mean_is_averaged_over_pixels() -> None:
    labels, output = torch.randn(4, 2, 6, 4), torch.randn(4, 2, 6, 4)
    share = mask(6, 4)[:, None]
    expected = share * (output - labels).abs() + (1 - share) * (output - labels[PARTNER]).abs()
    torch.testing.assert_close(cut(labels, MAPS).loss(output, nn.L1Loss()), expected.mean())
