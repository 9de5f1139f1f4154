"""Tests of the held-out batches on which the geometry of layers is measured."""

import pytest
import torch

from few_examples import image_dataset
from layermix.lab.data import Dataset, Split
from layermix.lab.data.split import geometry_batches


def numbered(count: int, classes: int, start: int = 0) -> Split:
    """Return images whose first two pixels encode their number."""
    numbers = torch.arange(start, start + count)
    images = torch.stack([numbers // 256, numbers % 256], 1).to(torch.uint8).view(-1, 1, 1, 2)
    return Split(images, torch.arange(count) % classes)


def numbers(split: Split) -> set[int]:
    high, low = split.inputs.flatten(1).long().unbind(1)
    return set((256 * high + low).tolist())


def data(held_out: int, classes: int = 10) -> Dataset:
    val, test = numbered(100, classes), numbered(held_out - 100, classes, 100)
    return image_dataset(val, val, test, tuple(map(str, range(classes))))


def test_four_batches_are_disjoint_balanced_and_have_a_half_each() -> None:
    batches = geometry_batches(data(1500), 0)
    assert [len(batch) for batch in batches] == [256] * 4 + [128] * 4
    assert len(set.union(*map(numbers, batches[:4]))) == 4 * 256
    for batch, half in zip(batches, batches[4:], strict=False):
        assert numbers(half) < numbers(batch)
        for each in (batch, half):
            counts = each.labels.bincount(minlength=10)
            assert int(counts.max() - counts.min()) <= 1


def test_seeds_draw_different_batches() -> None:
    one, other = (geometry_batches(data(5000), seed)[0] for seed in (0, 1))
    assert len(numbers(one) & numbers(other)) < 60  # 13 are expected
    assert numbers(geometry_batches(data(5000), 0)[0]) == numbers(one)


@pytest.mark.parametrize(("held_out", "sizes"), [(160, [40] * 4 + [20] * 4), (150, [])])
def test_rare_classes_limit_the_size(held_out: int, sizes: list[int]) -> None:
    assert [len(batch) for batch in geometry_batches(data(held_out), 0)] == sizes
