"""Small data sets of images, and the configuration of a small profile."""

from pathlib import Path
from typing import Any

from layermix.lab.data import Dataset, Source, Split
from layermix.lab.data.modalities import ImageInputs
from layermix.lab.profile_config import ProfileConfig


def image_source(splits: dict[str, Split], classes: tuple[str, ...]) -> Source:
    """Return a data set of images."""
    return Source(splits, classes, ImageInputs())


def image_dataset(train: Split, val: Split, test: Split, classes: tuple[str, ...]) -> Dataset:
    """Return the splits of a run with images."""
    return Dataset(train, val, test, classes, ImageInputs())


def few(model: str, weights: Path | None = None, **settings: Any) -> ProfileConfig:
    """Return the configuration of a small profile. The digits are resized for timm models."""
    size = None if model == "mlp" else 32
    return ProfileConfig(model, weights, image_size=size, examples=100, mixed=16, **settings)
