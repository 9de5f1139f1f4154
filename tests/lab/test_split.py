"""Tests of data splits: missing splits, class proportions, and classes that are too small."""

import hashlib

import numpy as np
import pytest
import torch

from few_examples import image_dataset, image_source
from layermix import InputError
from layermix.lab.data import DataConfig, Source, Split, load
from layermix.lab.data.modalities import ImageInputs
from layermix.lab.data.split import (
    balanced,
    geometry_batch,
    three_way,
)

ABC = ("a", "b", "c")


def make_split(count: int, classes: int, size: int = 8) -> Split:
    images = torch.randint(256, (count, 3, size, size), dtype=torch.uint8)
    return Split(images, torch.arange(count) % classes)


def split_of_counts(*counts: int) -> Split:
    """Return shuffled images with these counts per class. The pixels encode the image number."""
    labels = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    numbers = torch.arange(len(labels))
    images = torch.stack([numbers // 256, numbers % 256], 1).to(torch.uint8).view(-1, 1, 1, 2)
    return Split(
        images, labels[torch.from_numpy(np.random.default_rng(0).permutation(len(labels)))]
    )


def digest(split: Split) -> str:
    return hashlib.sha256(split.inputs.numpy().tobytes()).hexdigest()[:16]


def test_train_size_selects_a_class_balanced_subset() -> None:
    data = load(DataConfig(train_size=53))
    counts = data.train.labels.bincount()
    assert int(counts.sum()) == 53
    assert counts.max() - counts.min() == 1


def test_balanced_subset_is_deterministic() -> None:
    labels = torch.arange(100) % 7
    assert torch.equal(balanced(labels, 30, 7), balanced(labels, 30, 7))


def test_fewer_examples_than_classes_raise() -> None:
    with pytest.raises(InputError, match="5 examples cannot cover 10 classes: use 10 or more"):
        load(DataConfig(train_size=5))


def test_balanced_subset_raises_if_a_class_has_too_few_examples() -> None:
    labels = torch.tensor([0] * 9 + [1] * 3)
    with pytest.raises(InputError, match="needs 5 examples of class 1, but there are 3: use 6"):
        balanced(labels, 10, 2)


def test_error_contains_the_name_of_the_rarest_class() -> None:
    images = image_source(
        {name: split_of_counts(40, 20, 10) for name in ("train", "validation", "test")}, ABC
    )
    labels = images.splits["train"].labels
    with pytest.raises(InputError, match=r"needs 30 .* of class 'c', but there are 10: use 30"):
        balanced(labels, 90, 3, names=images.classes)


UNBALANCED = image_source(
    {name: split_of_counts(40, 20, 4) for name in ("train", "validation", "test")}, ABC
)


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
def test_train_subset_is_stratified_if_it_cannot_be_balanced(
    size: int | None, expected: list[int], chosen: str
) -> None:
    data = three_way(UNBALANCED, size)
    assert data.train.labels.bincount().tolist() == expected
    assert data.subset == chosen


def test_stratified_subset_keeps_one_image_of_a_rare_class() -> None:
    images = image_source({**UNBALANCED.splits, "train": split_of_counts(900, 300, 1)}, ABC)
    assert three_way(images, 100).train.labels.bincount().tolist() == [74, 25, 1]


def test_train_size_above_the_number_of_images_raises() -> None:
    with pytest.raises(
        InputError, match="train_size is 65, but there are only 64 training examples"
    ):
        three_way(UNBALANCED, 65)


def test_class_without_training_images_raises() -> None:
    images = image_source({**UNBALANCED.splits, "train": split_of_counts(40, 20, 0)}, ABC)
    with pytest.raises(InputError, match="of class 'c', but there are 0: add some, or remove the"):
        three_way(images, 30)


def test_missing_splits_are_taken_from_the_training_images() -> None:
    data = three_way(image_source({"train": make_split(300, 3)}, ("a", "b", "c")), None)
    assert (len(data.test), len(data.val), len(data.train)) == (100, 20, 180)


def test_splits_of_balanced_classes_equal_the_published_splits() -> None:
    data = three_way(image_source({"train": split_of_counts(100, 100, 100)}, ABC), 31)
    assert data.test.labels.bincount().tolist() == [34, 33, 33]
    found = [digest(part) for part in (data.train, data.val, data.test)]
    assert found == ["244e1a3b13b29a59", "00ec23e95ab8179a", "aca3c1b067c22026"]


def test_missing_splits_preserve_class_proportions() -> None:
    data = three_way(image_source({"train": split_of_counts(900, 450, 30)}, ABC), None)
    assert data.test.labels.bincount().tolist() == [300, 150, 10]
    assert data.val.labels.bincount().tolist() == [60, 30, 2]
    assert data.train.labels.bincount().tolist() == [540, 270, 18]


def test_class_counts_are_rounded_by_the_largest_remainder() -> None:
    images = image_source(
        {"train": split_of_counts(64, 50, 26), "test": split_of_counts(1, 1, 1)}, ABC
    )
    assert three_way(images, None).val.labels.bincount().tolist() == [6, 5, 3]  # 6.4, 5.0, 2.6


@pytest.mark.parametrize(("rare", "expected"), [(3, [1, 1, 1]), (4, [1, 2, 1]), (6, [2, 2, 2])])
def test_rare_class_is_in_every_split(rare: int, expected: list[int]) -> None:
    data = three_way(image_source({"train": split_of_counts(300, 200, rare)}, ABC), None)
    found = [int((part.labels == 2).sum()) for part in (data.test, data.val, data.train)]
    assert found == expected


def test_splits_are_disjoint_and_deterministic() -> None:
    images = image_source({"train": split_of_counts(70, 41, 9)}, ABC)
    first, second = three_way(images, None), three_way(images, None)
    parts = [
        [part.inputs for part in (data.train, data.val, data.test)] for data in (first, second)
    ]
    assert len(torch.cat(parts[0]).unique(dim=0)) == 120
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(*parts, strict=True))


def test_seeds_draw_different_splits_of_equal_sizes() -> None:
    images = image_source({"train": split_of_counts(70, 41, 9)}, ABC)
    first, again, other = (three_way(images, 40, seed) for seed in (0, 0, 1))
    assert first.sizes == other.sizes
    for name in ("train", "val", "test"):
        ours, same, theirs = (getattr(data, name) for data in (first, again, other))
        assert torch.equal(ours.inputs, same.inputs)
        assert not torch.equal(ours.inputs, theirs.inputs)
        assert ours.labels.bincount().tolist() == theirs.labels.bincount().tolist()


@pytest.mark.parametrize("counts", [[20, 75, 50, 63, 77], [25, 70, 17, 58, 73], [3, 4, 200]])
def test_sizes_of_splits_do_not_depend_on_the_seed(counts: list[int]) -> None:
    labels = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    images = Source.of(
        {"train": (torch.zeros(len(labels), 1, 8, 8, dtype=torch.uint8), labels)}, ImageInputs()
    )
    sizes = {str(three_way(images, None, seed).sizes) for seed in range(8)}
    assert len(sizes) == 1


def test_seed_redraws_validation_but_not_test_images_of_the_source() -> None:
    names = ("train", "validation", "test")
    images = image_source({name: split_of_counts(30, 20, 10) for name in names}, ABC)
    images.splits["validation"].inputs.add_(100)
    fixed, drawn = three_way(images, None), three_way(images, None, seed=0)
    assert torch.equal(drawn.test.inputs, images.splits["test"].inputs)
    assert torch.equal(fixed.val.inputs, images.splits["validation"].inputs)
    assert drawn.sizes == fixed.sizes
    together = [torch.cat([data.train.inputs, data.val.inputs]) for data in (fixed, drawn)]
    assert len({tuple(sorted(x.flatten(1)[:, 0].tolist())) for x in together}) == 1
    assert not torch.equal(drawn.val.inputs, fixed.val.inputs)


def test_class_too_small_to_split_raises() -> None:
    message = "no test and no validation split, .* needs 3 .* class 'b' has 2: add examples"
    with pytest.raises(InputError, match=message):
        three_way(image_source({"train": split_of_counts(30, 2, 9)}, ABC), None)
    message = "no validation split, .* needs 2 .* class 'c' has 0: add .* a validation spl"
    with pytest.raises(InputError, match=message):
        three_way(
            image_source(
                {"train": split_of_counts(30, 20, 0), "test": split_of_counts(2, 2, 2)}, ABC
            ),
            None,
        )


def test_existing_test_split_is_unchanged() -> None:
    images = image_source({"train": make_split(300, 3), "test": make_split(60, 3)}, ("a", "b", "c"))
    data = three_way(images, None)
    assert torch.equal(data.test.inputs, images.splits["test"].inputs)
    assert len(data.train) + len(data.val) == 300


def test_geometry_batch_is_class_balanced() -> None:
    part = make_split(1000, 8)
    chosen = geometry_batch(image_dataset(part, part, part, tuple("abcdefgh")), "validation")
    assert chosen.labels.bincount().tolist() == [32] * 8


def test_geometry_batch_size_is_limited_by_the_rarest_class() -> None:
    part = split_of_counts(90, 3, 50)
    batch = geometry_batch(image_dataset(part, part, part, ABC), "validation")
    assert batch.labels.bincount().tolist() == [3, 3, 3]


@pytest.mark.parametrize("count", [0, 1])
def test_geometry_batch_raises_for_a_class_without_a_pair(count: int) -> None:
    whole, part = split_of_counts(9, 9, 9), split_of_counts(90, count, 50)
    message = f"the validation split has {count} of class 'b', but .* a larger validation split"
    with pytest.raises(InputError, match=message):
        geometry_batch(image_dataset(whole, part, whole, ABC), "validation")
    message = f"the training split has {count} of class 'b', but .* a larger training split"
    with pytest.raises(InputError, match=message):
        geometry_batch(image_dataset(part, whole, whole, ABC), "training")


def test_training_geometry_batch_contains_training_images_only() -> None:
    train, other = split_of_counts(90, 40, 50), split_of_counts(200, 200, 200)
    batch = geometry_batch(image_dataset(train, other, other, ABC), "training")
    assert batch.labels.bincount().tolist() == [40, 40, 40]
    assert {*map(bytes, batch.inputs.numpy())} <= {*map(bytes, train.inputs.numpy())}
