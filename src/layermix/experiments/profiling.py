"""Profile a model by name: build it, load weights and held-out data, and measure every layer."""

import contextlib
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from layermix.errors import InputError
from layermix.experiments.data import DataConfig, Dataset, Split, load
from layermix.experiments.data.dataset import resize
from layermix.experiments.data.hugging_face import has_images, load_texts
from layermix.experiments.data.sources import SOURCES
from layermix.experiments.data.tokens import tokens_for
from layermix.experiments.models.build import build, load_weights
from layermix.experiments.store import read_json
from layermix.experiments.training.batches import Normalize
from layermix.experiments.training.environment import pick_device, torch_seed
from layermix.geometry import Profile, profile
from layermix.geometry.features import Pool
from layermix.hooks.isolation import takes

_SUFFIXES = (".json", ".csv", ".svg", ".png", ".pdf")
_RUN_SETS = ("model", "weights", "data", "classes", "image_size", "image_column", "label_column")


@dataclass(frozen=True)
class ProfileConfig:
    """Settings of a profile: the model, the data and the quantities."""

    model: str = "resnet-small"
    """A model of `compare`, such as resnet-small or timm:NAME; transformers:CONFIG (a folder); or
    package.module:factory."""
    weights: Path | None = None
    """Safetensors file of the weights; random weights by default."""
    run: Path | None = None
    """Folder of a run of `layermix train` or of a study: its model, weights and data."""
    data: str = "digits"
    """`digits`, a hub id, or a folder: of images in subfolders, or of parquet, CSV or JSON files
    with images or texts."""
    split: Literal["validation", "test", "train"] = "validation"
    """Split of the data to measure."""
    classes: int | None = None
    """Number of logits of the model, if it differs from the number of classes of the data."""
    image_size: int | None = None
    """Resize every image to this height and width in pixels."""
    image_column: str | None = None
    """Column of the images; found by type and name by default."""
    text_column: str | None = None
    """Column of the texts; found by type and name by default."""
    label_column: str | None = None
    """Column of the labels; found by type and name by default."""
    tokenizer: str | None = None
    """Folder or hub id of a tokenizer of transformers; by default texts are read as bytes."""
    normalize: Literal["data", "model"] = "data"
    """Normalize images by the training data, or as a timm model was trained."""
    points: tuple[str, ...] = ()
    """Mix points; by default the input, each block, final and logits."""
    quantities: tuple[str, ...] = ()
    """Quantities to measure, by the names listed below a profile; all by default."""
    examples: int = 2000
    """Maximum number of examples."""
    mixed: int = 256
    """Maximum number of examples to mix for the interpolation gap."""
    pool: Pool = "auto"
    """Flatten the positions, or use their mean, the first or the last; `auto` uses the mean of
    tokens and flattens all other activations."""
    device: str = "auto"
    """`auto`, `cpu`, `cuda`, `mps`, or a device such as `cuda:1`."""
    seed: int = 0
    """Seed of random weights, and of the choice of examples and partners."""


ModelAndData = tuple[nn.Module, Any, list[str]]  # the third element is a list of notices


def take_profile(config: ProfileConfig) -> Profile:
    """Build the model, load weights and data, and return the profile."""
    device = pick_device(config.device)
    model, data, notices = _subject(config)
    taken = profile(
        model.to(device),
        data,
        list(config.points) or None,
        quantities=config.quantities or None,
        max_examples=config.examples,
        gap_examples=config.mixed,
        pool=config.pool,
        seed=config.seed,
    )
    return replace(taken, notices=(*notices, *taken.notices))


def check_suffix(path: Path) -> None:
    """Raise an `InputError` if `save_profile` cannot write this file type."""
    if path.suffix.lower() not in _SUFFIXES:
        raise InputError(f"cannot write {path}: it must end in .json, .csv, .svg, .png or .pdf")


def save_profile(taken: Profile, path: Path) -> None:
    """Write a profile as .json, as .csv, or as a figure (.svg, .png, .pdf)."""
    check_suffix(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    write = {".json": taken.to_json, ".csv": taken.to_csv}.get(path.suffix.lower(), taken.plot)
    write(path)


def _subject(config: ProfileConfig) -> ModelAndData:
    if config.run:
        return _subject_of_run(config, config.run)
    is_images = config.data in SOURCES or config.data.endswith(".safetensors")
    is_images = is_images or config.image_column or config.image_size
    if not is_images and (config.text_column or not has_images(config.data)):
        return _texts(config)
    why = f"{config.data} has images, which have no {{name}}"
    _refuse(config, ("text_column", "tokenizer"), why)
    source = DataConfig(
        config.data, None, config.image_size, config.image_column, config.label_column, True
    )
    data, size = None, config.image_size
    if size is not None and size > 0:
        with contextlib.suppress(InputError):  # images of different sizes
            data = load(replace(source, image_size=None))
    return _images(config, data, size) if data else _images(config, load(source), None)


def _refuse(config: ProfileConfig, names: tuple[str, ...], why: str, remedy: str = "") -> None:
    """Raise an `InputError` if one of the settings `names` does not have its default value."""
    for field in fields(config):
        if field.name in names and getattr(config, field.name) != field.default:
            flag = field.name.replace("_", "-")
            raise InputError(f"{why.format(name=field.name)}: leave out --{flag}{remedy}")


def _subject_of_run(config: ProfileConfig, folder: Path) -> ModelAndData:
    weights = folder / "weights.safetensors"
    if not weights.exists():
        runs = sorted(path.name for path in (folder / "runs").glob("[!.]*"))
        why = f"it is a study; use {folder / 'runs' / runs[0]}" if runs else "it has no weights"
        why = why if folder.exists() else "it does not exist"
        raise InputError(f"{folder} is not the folder of a finished run: {why}")
    _refuse(config, (*_RUN_SETS, "normalize"), "a run has its own {name}", " or --run")
    why = "a run has images, which have no {name}"
    _refuse(config, ("text_column", "tokenizer"), why, " or --run")
    run = read_json(folder / "config.json")
    config = replace(config, model=run["model"], weights=weights, data=run["data"]["data"])
    return _images(
        config, load(DataConfig(**{"fixed_split": True, **run["data"]}), run["seed"]), None
    )


def _images(config: ProfileConfig, data: Dataset, size: int | None) -> ModelAndData:
    """Return the model and the images of one split, resized to `size` if it is not None."""
    channels, height, width = data.image_shape
    shape = (channels, size or height, size or width)
    model, notices = _build(config, len(data.classes), shape)
    split = {"validation": data.val, "test": data.test, "train": data.train}[config.split]
    normalize, source = Normalize.of(data.train), "its training images"
    if config.normalize == "model":
        normalize, source = _as_trained(model, channels), "the mean and deviation of the model"
    notices.append(f"Data: {config.split} images of {config.data}, normalized by {source}.")
    return model, LazyImages(split, normalize, size), notices


class LazyImages(torch.utils.data.Dataset):
    """Images of a split that are resized (if a size is given) and normalized when they are read.

    Otherwise thousands of images at the size of a large model would not fit into memory.
    """

    def __init__(self, split: Split, normalize: Normalize, size: int | None = None) -> None:
        self.split, self.normalize, self.size = split, normalize, size

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        image = self.split.images[index : index + 1]
        if self.size is not None:
            image = resize(image, self.size)
        return self.normalize(image)[0], self.split.labels[index]


def _as_trained(model: nn.Module, channels: int) -> Normalize:
    config = getattr(model, "pretrained_cfg", None) or {}
    if len(config.get("mean", ())) != channels:
        raise InputError(
            f"{type(model).__name__} has no mean and deviation for images of {channels} "
            f"channel{'s' * (channels != 1)}: use --normalize data"
        )
    return Normalize(*(255 * torch.tensor(config[name]) for name in ("mean", "std")))


def _texts(config: ProfileConfig) -> ModelAndData:
    _refuse(config, ("normalize",), f"{config.data} has texts, which have no {{name}}")
    splits, classes = load_texts(config.data, config.text_column, config.label_column)
    name, notes = config.split, []
    if name not in splits:
        name = next((n for n in ("validation", "test", "train") if n in splits), next(iter(splits)))
        notes = [f"There is no {config.split} split in the data: {name} texts are used instead."]
    model, notices = _build(config, len(classes), None)
    texts, labels = splits[name]
    read = tokens_for(model, texts, config.tokenizer)
    how = f"by the tokenizer {config.tokenizer}" if config.tokenizer else "byte by byte"
    notices.append(
        f"Data: {name} texts of {config.data}, read {how}; {read.truncated} of "
        f"{len(texts)} texts were truncated to {read.length} tokens."
    )
    x = read.x if takes(model, ["input_ids"]) else read.x["input_ids"]
    return model, (x, labels), [*notices, *notes]


def _build(
    config: ProfileConfig, classes: int, image_shape: tuple[int, int, int] | None
) -> tuple[nn.Module, list[str]]:
    """Return the model for a number of classes, and notices about it to show with the profile."""
    with torch_seed(config.seed):
        model = build(config.model, config.classes or classes, image_shape)
    notices = []
    if config.weights is None:
        notices.append(
            f"Weights: random, of seed {config.seed}; this is the profile of an untrained model "
            "(see --weights)."
        )
    else:
        load_weights(model, config.weights)
    if config.classes not in (None, classes):
        notices.append(
            f"The model has {config.classes} classes, the data {classes}: its loss of the mix has "
            "no meaning."
        )
    return model, notices
