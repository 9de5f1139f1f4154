"""Splits: which are cut, in which proportions, and which cannot be cut."""

import hashlib

import numpy as np
import pytest
import torch

from layermix import InputError
from layermix.experiments.data import (
    DataConfig,
    Dataset,
    Images,
    Split,
    load,
)
from layermix.experiments.data.split import balanced, geometry_batch, three_way

ABC = ("a", "b", "c")


def make(count: int, classes: int, size: int = 8) -> Split:
    images = torch.randint(256, (count, 3, size, size), dtype=torch.uint8)
    return Split(images, torch.arange(count) % classes)


def of_counts(*counts: int) -> Split:
    """Return that many images of each class, shuffled, each with its number as its pixels."""
    labels = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    numbers = torch.arange(len(labels))
    images = torch.stack([numbers // 256, numbers % 256], 1).to(torch.uint8).view(-1, 1, 1, 2)
    return Split(
        images, labels[torch.from_numpy(np.random.default_rng(0).permutation(len(labels)))]
    )


def digest(split: Split) -> str:
    return hashlib.sha256(split.images.numpy().tobytes()).hexdigest()[:16]


def test_train_size_takes_a_class_balanced_subset() -> None:
    data = load(DataConfig(train_size=53))
    counts = data.train.labels.bincount()
    assert int(counts.sum()) == 53
    assert counts.max() - counts.min() == 1


def test_balanced_subset_is_the_same_every_time() -> None:
    labels = torch.arange(100) % 7
    assert torch.equal(balanced(labels, 30, 7), balanced(labels, 30, 7))


def test_fewer_examples_than_classes_are_refused() -> None:
    with pytest.raises(InputError, match="5 examples cannot cover 10 classes: use 10 or more"):
        load(DataConfig(train_size=5))


def test_a_class_with_too_few_examples_is_named() -> None:
    labels = torch.tensor([0] * 9 + [1] * 3)
    with pytest.raises(InputError, match="needs 5 examples of class 1, but there are 3: use 6"):
        balanced(labels, 10, 2)


def test_the_rarest_of_too_rare_classes_is_named_by_its_name() -> None:
    images = Images({name: of_counts(40, 20, 10) for name in ("train", "validation", "test")}, ABC)
    labels = images.splits["train"].labels
    with pytest.raises(InputError, match=r"needs 30 .* of class 'c', but there are 10: use 30"):
        balanced(labels, 90, 3, images.classes)


UNBALANCED = Images({name: of_counts(40, 20, 4) for name in ("train", "validation", "test")}, ABC)


@pytest.mark.parametrize(
    ("size", "expected", "chosen"),
    [
        (12, [4, 4, 4], "balanced"),
        (32, [20, 10, 2], "stratified"),
        (63, [39, 20, 4], "stratified"),
        (64, [40, 20, 4], "stratified"),
        (None, [40, 20, 4], "all"),
    ],
)
def test_training_images_are_stratified_where_a_class_has_too_few_for_equal_numbers(
    size: int | None, expected: list[int], chosen: str
) -> None:
    data = three_way(UNBALANCED, size)
    assert data.train.labels.bincount().tolist() == expected
    assert data.subset == chosen


def test_a_stratified_subset_keeps_one_image_of_a_rare_class() -> None:
    images = Images({**UNBALANCED.splits, "train": of_counts(900, 300, 1)}, ABC)
    assert three_way(images, 100).train.labels.bincount().tolist() == [74, 25, 1]


def test_more_training_images_than_there_are_are_refused() -> None:
    with pytest.raises(InputError, match="train_size is 65, but there are only 64 training images"):
        three_way(UNBALANCED, 65)


def test_a_class_without_training_images_is_named() -> None:
    images = Images({**UNBALANCED.splits, "train": of_counts(40, 20, 0)}, ABC)
    with pytest.raises(InputError, match="of class 'c', but there are 0: add some, or remove the"):
        three_way(images, 30)


def test_missing_splits_are_cut_from_the_training_images() -> None:
    data = three_way(Images({"train": make(300, 3)}, ("a", "b", "c")), None)
    assert (len(data.test), len(data.val), len(data.train)) == (100, 20, 180)


def test_equally_frequent_classes_are_cut_as_in_the_published_results() -> None:
    data = three_way(Images({"train": of_counts(100, 100, 100)}, ABC), 31)
    assert data.test.labels.bincount().tolist() == [34, 33, 33]
    found = [digest(part) for part in (data.train, data.val, data.test)]
    assert found == ["244e1a3b13b29a59", "00ec23e95ab8179a", "aca3c1b067c22026"]


def test_missing_splits_hold_each_class_in_proportion_to_its_frequency() -> None:
    data = three_way(Images({"train": of_counts(900, 450, 30)}, ABC), None)
    assert data.test.labels.bincount().tolist() == [300, 150, 10]
    assert data.val.labels.bincount().tolist() == [60, 30, 2]
    assert data.train.labels.bincount().tolist() == [540, 270, 18]


def test_a_share_is_rounded_by_the_largest_remainder() -> None:
    images = Images({"train": of_counts(64, 50, 26), "test": of_counts(1, 1, 1)}, ABC)
    assert three_way(images, None).val.labels.bincount().tolist() == [6, 5, 3]  # 6.4, 5.0, 2.6


@pytest.mark.parametrize(("rare", "expected"), [(3, [1, 1, 1]), (4, [1, 2, 1]), (6, [2, 2, 2])])
def test_a_rare_class_is_in_every_split(rare: int, expected: list[int]) -> None:
    data = three_way(Images({"train": of_counts(300, 200, rare)}, ABC), None)
    found = [int((part.labels == 2).sum()) for part in (data.test, data.val, data.train)]
    assert found == expected


def test_cuts_are_disjoint_and_the_same_every_time() -> None:
    images = Images({"train": of_counts(70, 41, 9)}, ABC)
    first, second = three_way(images, None), three_way(images, None)
    parts = [
        [part.images for part in (data.train, data.val, data.test)] for data in (first, second)
    ]
    assert len(torch.cat(parts[0]).unique(dim=0)) == 120
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(*parts, strict=True))


def test_a_class_too_small_to_cut_is_named_with_the_remedy() -> None:
    message = "no test and no validation split, .* needs 3 .* class 'b' has 2: add images"
    with pytest.raises(InputError, match=message):
        three_way(Images({"train": of_counts(30, 2, 9)}, ABC), None)
    message = "no validation split, .* needs 2 .* class 'c' has 0: add .* a validation spl"
    with pytest.raises(InputError, match=message):
        three_way(Images({"train": of_counts(30, 20, 0), "test": of_counts(2, 2, 2)}, ABC), None)


def test_a_test_split_of_the_source_is_used_whole() -> None:
    images = Images({"train": make(300, 3), "test": make(60, 3)}, ("a", "b", "c"))
    data = three_way(images, None)
    assert torch.equal(data.test.images, images.splits["test"].images)
    assert len(data.train) + len(data.val) == 300


def test_geometry_batch_has_every_class_equally() -> None:
    part = make(1000, 8)
    chosen = geometry_batch(Dataset(part, part, part, tuple("abcdefgh")), "validation")
    assert chosen.labels.bincount().tolist() == [32] * 8


def test_geometry_batch_has_as_many_of_each_class_as_of_the_rarest() -> None:
    part = of_counts(90, 3, 50)
    batch = geometry_batch(Dataset(part, part, part, ABC), "validation")
    assert batch.labels.bincount().tolist() == [3, 3, 3]


@pytest.mark.parametrize("count", [0, 1])
def test_a_class_without_a_pair_is_named(count: int) -> None:
    whole, part = of_counts(9, 9, 9), of_counts(90, count, 50)
    message = f"the validation split has {count} of class 'b', but .* a larger validation split"
    with pytest.raises(InputError, match=message):
        geometry_batch(Dataset(whole, part, whole, ABC), "validation")
    message = f"the training split has {count} of class 'b', but .* a larger training split"
    with pytest.raises(InputError, match=message):
        geometry_batch(Dataset(part, whole, whole, ABC), "training")


def test_the_batch_that_training_adapts_to_holds_training_images() -> None:
    train, other = of_counts(90, 40, 50), of_counts(200, 200, 200)
    batch = geometry_batch(Dataset(train, other, other, ABC), "training")
    assert batch.labels.bincount().tolist() == [40, 40, 40]
    assert {*map(bytes, batch.images.numpy())} <= {*map(bytes, train.images.numpy())}
