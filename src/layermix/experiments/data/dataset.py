"""What a data set is here: uint8 images and integer labels, split three ways.

Shapes: N images, C channels, H height, W width.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from layermix.errors import InputError
from layermix.experiments.data.labels import Labels, encode_labels

Chosen = Literal["all", "balanced", "stratified"]


@dataclass(frozen=True, eq=False)
class Split:
    """Images, uint8 (N, C, H, W), and their classes, int64 (N,)."""

    images: Tensor
    labels: Tensor

    def __post_init__(self) -> None:
        if self.images.dtype != torch.uint8 or self.images.ndim != 4:
            raise InputError(
                "images must be uint8 of shape (N, C, H, W), but are "
                f"{self.images.dtype} of shape {tuple(self.images.shape)}"
            )
        if self.labels.dtype != torch.int64 or self.labels.shape != self.images.shape[:1]:
            raise InputError(
                f"{len(self.images)} images need int64 labels of shape ({len(self.images)},), but "
                f"these are {self.labels.dtype} of shape {tuple(self.labels.shape)}"
            )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: Tensor) -> "Split":
        return Split(self.images[index], self.labels[index])

    def to(self, device: torch.device) -> "Split":
        """Return the split on `device`."""
        return Split(self.images.to(device), self.labels.to(device))


@dataclass(frozen=True, eq=False)
class Images:
    """A whole data set as its source delivers it: named splits and class names.

    Attributes
    ----------
    splits
        By the source's own names, such as ``"train"`` and ``"test"``.
    classes
        Names of the classes; label k is ``classes[k]``.
    """

    splits: dict[str, Split]
    classes: tuple[str, ...]

    @classmethod
    def of(cls, splits: Mapping[str, tuple[Tensor, Labels]]) -> "Images":
        """Return a data set of images and labels, which may be integers or class names.

        Parameters
        ----------
        splits
            For each split, ``"train"`` among them, its images, uint8 (N, C, H, W), and its labels,
            (N,): a tensor, an array or a list. Names become classes in sorted order.

        Raises
        ------
        InputError
            For images or labels of another kind or shape.
        """
        labels, classes = encode_labels({name: own for name, (_, own) in splits.items()})
        parts = {name: Split(images, labels[name]) for name, (images, _) in splits.items()}
        return cls(parts, classes)

    def __post_init__(self) -> None:
        for name, split in self.splits.items():
            if not len(split):
                raise InputError(f"the split {name!r} has no images")
            low, high = int(split.labels.min()), int(split.labels.max())
            if low < 0 or high >= len(self.classes):
                raise InputError(
                    f"the split {name!r} has the label {low if low < 0 else high}, outside the "
                    f"{len(self.classes)} classes 0 to {len(self.classes) - 1}"
                )
        shapes = {name: tuple(split.images.shape[1:]) for name, split in self.splits.items()}
        if len(set(shapes.values())) > 1:
            raise InputError(f"images differ in shape, {shapes}: resize all with --image-size")

    def resized(self, size: int) -> "Images":
        """Return the data set with images of `size` by `size` pixels, bicubic and antialiased."""
        splits = {n: Split(resize(s.images, size), s.labels) for n, s in self.splits.items()}
        return Images(splits, self.classes)


def resize(images: Tensor, size: int) -> Tensor:
    """Return images, uint8 (N, C, H, W), of `size` by `size` pixels, bicubic and antialiased."""
    found = F.interpolate(images.float(), (size, size), mode="bicubic", antialias=True)
    return found.round().clamp(0, 255).to(torch.uint8)


@dataclass(frozen=True, eq=False)
class Dataset:
    """What a run trains, watches and is judged on.

    The test split is for the one look after the last epoch; everything that is chosen is chosen
    on the validation split.

    Attributes
    ----------
    train, val, test
        The three splits.
    classes
        Names of the classes; label k is ``classes[k]``.
    chosen
        How the training images were chosen: all that there are; as many of each class; or as many
        as its share, where a class has too few images for equal numbers.
    """

    train: Split
    val: Split
    test: Split
    classes: tuple[str, ...]
    chosen: Chosen = "all"

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""
        channels, height, width = self.train.images.shape[1:]
        return channels, height, width

    def to(self, device: torch.device) -> "Dataset":
        """Return the data on `device`."""
        train, val, test = (split.to(device) for split in (self.train, self.val, self.test))
        return Dataset(train, val, test, self.classes, self.chosen)
