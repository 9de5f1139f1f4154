"""Splits, augmentation and the digits."""

import pytest
import torch

from layermix import InputError
from layermix.lab.data import (
    DataConfig,
    Images,
    Normalise,
    Split,
    balanced,
    crop_and_flip,
    load,
    watch_batch,
)
from layermix.lab.data.split import three_way


def make(count: int, classes: int, size: int = 8) -> Split:
    images = torch.randint(256, (count, 3, size, size), dtype=torch.uint8)
    return Split(images, torch.arange(count) % classes)


def test_digits_are_300_to_train_300_to_validate_and_1197_to_test() -> None:
    data = load(DataConfig())
    assert (len(data.train), len(data.val), len(data.test)) == (300, 300, 1197)
    assert data.train.labels.bincount().tolist() == [30] * 10
    assert data.image_shape == (1, 8, 8)
    assert int(data.train.images.max()) == 255


def test_digits_keep_every_image_once() -> None:
    data = load(DataConfig())
    together = torch.cat([data.train.images, data.val.images, data.test.images]).flatten(1)
    from sklearn.datasets import load_digits

    pixels, _ = load_digits(return_X_y=True)
    original = torch.from_numpy(pixels).mul(255 / 16).round().to(torch.uint8)
    assert sorted(together.tolist()) == sorted(original.tolist())


def test_train_size_takes_a_class_balanced_subset() -> None:
    data = load(DataConfig(train_size=53))
    counts = data.train.labels.bincount()
    assert int(counts.sum()) == 53
    assert counts.max() - counts.min() == 1


def test_balanced_subset_is_the_same_every_time() -> None:
    labels = torch.arange(100) % 7
    assert torch.equal(balanced(labels, 30, 7), balanced(labels, 30, 7))


def test_fewer_examples_than_classes_are_refused() -> None:
    with pytest.raises(InputError, match="5 examples cannot cover 10 classes: ask for 10 or more"):
        load(DataConfig(train_size=5))


def test_a_class_with_too_few_examples_is_named() -> None:
    labels = torch.tensor([0] * 9 + [1] * 3)
    with pytest.raises(InputError, match="needs 5 examples of class 1, but there are 3: ask for 6"):
        balanced(labels, 10, 2)


def test_missing_splits_are_cut_from_the_training_images() -> None:
    data = three_way(Images({"train": make(300, 3)}, ("a", "b", "c")), None)
    assert (len(data.test), len(data.val), len(data.train)) == (100, 20, 180)


def test_a_test_split_of_the_source_is_used_whole() -> None:
    images = Images({"train": make(300, 3), "test": make(60, 3)}, ("a", "b", "c"))
    data = three_way(images, None)
    assert torch.equal(data.test.images, images.splits["test"].images)
    assert len(data.train) + len(data.val) == 300


def test_labels_outside_the_classes_are_refused() -> None:
    with pytest.raises(InputError, match="has the label 2, outside the 2 classes 0 to 1"):
        Images({"train": make(9, 3)}, ("a", "b"))


def test_float_images_are_refused() -> None:
    with pytest.raises(InputError, match="images must be uint8"):
        Split(torch.rand(4, 1, 8, 8), torch.zeros(4, dtype=torch.int64))


def test_watched_batch_has_every_class_equally() -> None:
    chosen = watch_batch(make(1000, 8), 8)
    assert chosen.labels.bincount().tolist() == [32] * 8


def test_normalised_training_images_have_mean_0_and_deviation_1() -> None:
    split = make(64, 4)
    x = Normalise.of(split)(split.images)
    assert torch.allclose(x.mean((0, 2, 3)), torch.zeros(3), atol=1e-5)
    assert torch.allclose(x.std((0, 2, 3)), torch.ones(3), atol=1e-3)


def test_crop_is_a_window_of_the_reflected_image() -> None:
    images = torch.randint(256, (50, 2, 6, 6), dtype=torch.uint8)
    found = crop_and_flip(images, 2, False, torch.Generator().manual_seed(0))
    padded = torch.nn.functional.pad(images.float(), (2, 2, 2, 2), mode="reflect").byte()
    for image, whole in zip(found, padded, strict=True):
        windows = [whole[:, r : r + 6, c : c + 6] for r in range(5) for c in range(5)]
        assert any(torch.equal(image, window) for window in windows)


def test_flip_mirrors_about_half_of_the_images() -> None:
    images = torch.randint(256, (400, 1, 4, 4), dtype=torch.uint8)
    found = crop_and_flip(images, 0, True, torch.Generator().manual_seed(0))
    mirrored = (found == images.flip(3)).flatten(1).all(1)
    assert ((found == images).flatten(1).all(1) | mirrored).all()
    assert 160 < int(mirrored.sum()) < 240


def test_no_crop_and_no_flip_change_nothing() -> None:
    images = torch.randint(256, (5, 3, 8, 8), dtype=torch.uint8)
    assert torch.equal(crop_and_flip(images, 0, False, torch.Generator()), images)


def test_an_unknown_data_set_gets_the_closest_name() -> None:
    with pytest.raises(InputError, match="unknown data set 'digit': did you mean 'digits'"):
        load(DataConfig(data="digit"))
