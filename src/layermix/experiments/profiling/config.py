"""What `layermix profile` is asked for, and what a profile is taken of."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from torch import nn

from layermix.errors import InputError
from layermix.geometry.features import Pool


@dataclass(frozen=True)
class ProfileConfig:
    """What to profile, and on what."""

    net: str = "resnet-small"
    """resnet-small, resnet18, preactresnet18, speed, mlp, timm:NAME, transformers:CONFIG (a folder)
    or package.module:factory."""
    weights: Path | None = None
    """Safetensors file of the weights; random ones when left out."""
    run: Path | None = None
    """Folder of a run of `layermix train` or of a study: its net, weights and data."""
    data: str = "digits"
    """`digits`, a hub id, or a folder: of images in sub-folders, or of parquet, CSV or JSON files
    with images or texts."""
    split: Literal["validation", "test", "train"] = "validation"
    """Which part of the data."""
    classes: int | None = None
    """Number of logits of the net, where the data have another number of classes."""
    image_size: int | None = None
    """Resize every image to this height and width in pixels."""
    image_column: str | None = None
    """Column of the images, where it cannot be told."""
    text_column: str | None = None
    """Column of the texts, where it cannot be told."""
    label_column: str | None = None
    """Column of the labels, where it cannot be told."""
    tokenizer: str | None = None
    """Folder or hub id of a tokenizer of transformers; when left out, texts are read as bytes."""
    normalise: Literal["data", "model"] = "data"
    """Normalise images by the training data, or as a timm model was trained."""
    points: tuple[str, ...] = ()
    """Mix points; when left out the input, each block, final and logits."""
    quantities: tuple[str, ...] = ()
    """What to measure, by the names printed below a profile; all when left out."""
    examples: int = 2000
    """Most examples to measure on."""
    mixed: int = 256
    """Most of these to mix for the interpolation gap."""
    pool: Pool = "auto"
    """What becomes of positions: flattened, or their mean, the first or the last; `auto` takes the
    mean of tokens and flattens all else."""
    device: str = "auto"
    """`auto`, `cpu`, `cuda`, `mps`, or as `cuda:1`."""
    seed: int = 0
    """Seed of random weights, of the choice of examples and of partners."""


class Subject(NamedTuple):
    """A net and the examples it is measured on, with what is to be said of both."""

    model: nn.Module
    data: Any
    notices: list[str]


def refuse(config: ProfileConfig, names: tuple[str, ...], why: str, remedy: str = "") -> None:
    """Refuse the first of some settings that is not left at its default.

    Parameters
    ----------
    config
        What is asked for.
    names
        Settings that would do nothing.
    why
        The reason, in which ``{name}`` is the setting.
    remedy
        What else to do than to leave the flag out.
    """
    usual = ProfileConfig()
    for name in names:
        if getattr(config, name) != getattr(usual, name):
            flag = name.replace("_", "-")
            raise InputError(f"{why.format(name=name)}: leave out --{flag}{remedy}")
