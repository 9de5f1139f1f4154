"""Data sets of images: uint8 tensors with integer labels, in named splits.

Shapes: N images, C channels, H height, W width.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from layermix.errors import InputError

Labels = Tensor | np.ndarray | Sequence[int] | Sequence[str]
Subset = Literal["all", "balanced", "stratified"]


@dataclass(frozen=True, eq=False)
class Split:
    """Images, uint8 (N, C, H, W), and their classes, int64 (N,)."""

    images: Tensor
    labels: Tensor

    def __post_init__(self) -> None:
        if self.images.dtype != torch.uint8 or self.images.ndim != 4:
            found = f"{self.images.dtype} of shape {tuple(self.images.shape)}"
            raise InputError(f"images must be uint8 of shape (N, C, H, W), but are {found}")
        if self.labels.dtype != torch.int64 or self.labels.shape != self.images.shape[:1]:
            found = f"{self.labels.dtype} of shape {tuple(self.labels.shape)}"
            raise InputError(f"labels must be int64 ({len(self.images)},), but are {found}")

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: Tensor) -> "Split":
        return Split(self.images[index], self.labels[index])

    @property
    def digest(self) -> str:
        """SHA-256 of the images and labels, the first 16 hexadecimal digits."""
        found = hashlib.sha256()
        for tensor in (self.images, self.labels):
            found.update(tensor.cpu().contiguous().numpy().tobytes())
        return found.hexdigest()[:16]

    def to(self, device: torch.device) -> "Split":
        """Move the split to a device."""
        return Split(self.images.to(device), self.labels.to(device))


@dataclass(frozen=True, eq=False)
class Images:
    """All splits of a data set by name, and the class names."""

    splits: dict[str, Split]
    classes: tuple[str, ...]

    @classmethod
    def of(cls, splits: Mapping[str, tuple[Tensor, Labels]]) -> "Images":
        """Create a data set from the images and labels of each split; see `encode_labels`."""
        labels, classes = encode_labels({name: values for name, (_, values) in splits.items()})
        return cls({name: Split(x, labels[name]) for name, (x, _) in splits.items()}, classes)

    def __post_init__(self) -> None:
        for name, split in self.splits.items():
            if not len(split):
                raise InputError(f"the split {name!r} has no images")
            low, high = int(split.labels.min()), int(split.labels.max())
            if low < 0 or high >= len(self.classes):
                raise InputError(
                    f"the split {name!r} has the label {low if low < 0 else high}, but labels must "
                    f"be from 0 to {len(self.classes) - 1} for {len(self.classes)} classes"
                )
        shapes = {name: tuple(split.images.shape[1:]) for name, split in self.splits.items()}
        if len(set(shapes.values())) > 1:
            raise InputError(f"images have different shapes, {shapes}: set --image-size")

    def resized(self, size: int) -> "Images":
        """Resize all images to `size` by `size` pixels."""
        splits = {n: Split(resize(s.images, size), s.labels) for n, s in self.splits.items()}
        return Images(splits, self.classes)


@dataclass(frozen=True, eq=False)
class Dataset:
    """The three splits of a run, and the class names.

    `subset` is ``"all"`` if all training images are used, else ``"balanced"`` for equal numbers of
    each class, or ``"stratified"`` if a class has too few images for that.
    """

    train: Split
    val: Split
    test: Split
    classes: tuple[str, ...]
    subset: Subset = "all"

    @property
    def sizes(self) -> dict[str, int]:
        """Number of training, validation and test images, and of classes."""
        return {name: len(getattr(self, name)) for name in ("train", "val", "test", "classes")}

    @property
    def digests(self) -> dict[str, str]:
        """SHA-256 of the images and labels of each split, the first 16 hexadecimal digits."""
        return {name: getattr(self, name).digest for name in ("train", "val", "test")}

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""
        channels, height, width = self.train.images.shape[1:]
        return channels, height, width

    def to(self, device: torch.device) -> "Dataset":
        """Move the data to a device."""
        train, val, test = (split.to(device) for split in (self.train, self.val, self.test))
        return Dataset(train, val, test, self.classes, self.subset)


def resize(images: Tensor, size: int) -> Tensor:
    """Resize uint8 images (N, C, H, W) to `size` by `size` pixels, bicubic with antialiasing."""
    resized = F.interpolate(images.float(), (size, size), mode="bicubic", antialias=True)
    return resized.round().clamp(0, 255).to(torch.uint8)


def encode_labels(labels: Mapping[str, Labels]) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Return the labels of each split as integer classes, int64 (N,), and the class names.

    Integer labels do not change; their class names are their digits. String labels are numbered in
    the sorted order of all splits.

    Examples
    --------
    >>> encode_labels({"train": ["dog", "cat", "dog"]})
    ({'train': tensor([1, 0, 1])}, ('cat', 'dog'))
    """
    arrays = {name: _as_array(values, name) for name, values in labels.items()}
    if len({array.dtype.kind for array in arrays.values()}) > 1:
        raise InputError(
            f"the labels of {list(arrays)} are integers in one split and names in another: use one"
        )
    joined = np.concatenate(list(arrays.values()))
    if joined.dtype.kind == "U":
        classes, joined = np.unique(joined, return_inverse=True)
    else:
        classes = range(int(joined.max()) + 1)
    parts = torch.from_numpy(joined).split([len(array) for array in arrays.values()])
    return dict(zip(arrays, parts, strict=True)), tuple(map(str, classes))


def _as_array(labels: Labels, split: str) -> np.ndarray:
    array = labels.cpu().numpy() if isinstance(labels, Tensor) else np.asarray(labels)
    if array.ndim != 1 or not array.size:
        raise InputError(
            f"the labels of split {split!r} have shape {array.shape}, but must be (N,), N >= 1"
        )
    if array.dtype.kind in "iu":
        return array.astype(np.int64)
    wrong = "" if array.dtype.kind in "Ub" else f"{array.dtype} labels"
    if array.dtype.kind == "O":
        others = [value for value in array if not isinstance(value, str)]
        wrong = f"the label {others[0]!r}" if others else ""
    if wrong:
        raise InputError(f"split {split!r} has {wrong}, but labels must be integers or class names")
    return array.astype(str)
