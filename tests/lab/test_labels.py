"""Tests of label encoding: labels of every type become integer classes with names."""

from typing import Any

import numpy as np
import pytest
import torch

from layermix import InputError
from layermix.lab.data import DataConfig, Source, load, write_source
from layermix.lab.data.dataset import encode_labels
from layermix.lab.data.modalities import ImageInputs

KINDS: list[Any] = [
    ["dog", "cat", "dog"],
    np.array(["dog", "cat", "dog"]),
    np.array(["dog", "cat", "dog"], dtype=object),
]


@pytest.mark.parametrize("labels", KINDS)
def test_class_names_are_encoded_in_sorted_order(labels: Any) -> None:
    encoded, classes = encode_labels({"train": labels})
    assert encoded["train"].dtype == torch.int64
    assert encoded["train"].tolist() == [1, 0, 1]
    assert classes == ("cat", "dog")


@pytest.mark.parametrize("labels", [[2, 0, 1], np.array([2, 0, 1], "u1"), torch.tensor([2, 0, 1])])
def test_integer_labels_are_unchanged(labels: Any) -> None:
    encoded, classes = encode_labels({"train": labels})
    assert encoded["train"].tolist() == [2, 0, 1]
    assert classes == ("0", "1", "2")


def test_class_names_are_collected_over_all_splits() -> None:
    encoded, classes = encode_labels({"train": ["b", "d"], "test": ["a", "d"]})
    assert classes == ("a", "b", "d")
    assert encoded["test"].tolist() == [0, 2]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"train": [0.5, 1.0]}, "split 'train' has float64 labels"),
        ({"train": ["a", None]}, "split 'train' has 1 missing label"),
        ({"train": []}, r"split 'train' have shape \(0,\), but must be \(N,\)"),
        ({"train": [[0], [1]]}, r"shape \(2, 1\), but must be \(N,\)"),
        ({"train": [0, 1], "test": ["a", "b"]}, "are integers in one split and names in another"),
    ],
)
def test_invalid_labels_raise(labels: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        encode_labels(labels)


def test_images_with_class_names_can_be_written_and_loaded(tmp_path: Any) -> None:
    images = torch.randint(256, (30, 1, 8, 8), dtype=torch.uint8)
    names = ["no", "yes"] * 15
    path = tmp_path / "made.safetensors"
    write_source(
        Source.of({"train": (images, names), "test": (images.clone(), names)}, ImageInputs()), path
    )
    data = load(DataConfig(str(path)))
    assert data.classes == ("no", "yes")
    assert data.test.labels.tolist() == [0, 1] * 15
