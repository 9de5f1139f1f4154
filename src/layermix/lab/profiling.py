"""Profile a net from the command line: the net, its weights, held-out data, and the profile."""

import inspect
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from layermix.attach.observe import Batch
from layermix.errors import InputError
from layermix.geometry import Profile, profile
from layermix.geometry.profiles.pooling import Pool
from layermix.lab import data as lab_data
from layermix.lab.data import SOURCES, DataConfig, Normalise
from layermix.lab.data.hub import holds_images
from layermix.lab.data.text import BYTES, load_texts, tokens
from layermix.lab.nets import build
from layermix.lab.store import read_json
from layermix.lab.training.recipe import pick_device
from layermix.lab.training.streams import torch_seed

_LENGTH = 256  # most tokens of a text, where a net sets no limit of its own


@dataclass(frozen=True)
class ProfileConfig:
    """What to profile, and on what."""

    model: str = "resnet-small"
    """resnet-small, resnet18, preactresnet18, mlp, timm:NAME, transformers:CONFIG (a folder) or
    package.module:factory."""
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


@dataclass(frozen=True)
class _Subject:
    """A net and the examples it is measured on, with what is to be said of both."""

    model: nn.Module
    x: Batch
    labels: torch.Tensor
    notices: list[str]


def take_profile(config: ProfileConfig) -> Profile:
    """Build the net, load weights and data, and take the profile.

    Raises
    ------
    InputError
        For a net, weights, data or points that cannot be had, or weights of another net.
    """
    device = pick_device(config.device)
    subject = _subject(config)
    found = profile(
        subject.model.to(device),
        (subject.x, subject.labels),
        list(config.points) or None,
        examples=config.examples,
        mixed=config.mixed,
        pool=config.pool,
        seed=config.seed,
    )
    return replace(found, notices=(*subject.notices, *found.notices))


def save_profile(found: Profile, path: Path) -> None:
    """Write a profile as its ending says: .json, .csv, or a picture (.svg, .png, .pdf)."""
    ending = path.suffix.lower()
    if ending not in (".json", ".csv", ".svg", ".png", ".pdf"):
        raise InputError(f"cannot write {path}: end it with .json, .csv, .svg, .png or .pdf")
    path.parent.mkdir(parents=True, exist_ok=True)
    if ending == ".json":
        found.to_json(path)
    elif ending == ".csv":
        found.to_csv(path)
    else:
        found.plot(path)


def _subject(config: ProfileConfig) -> _Subject:
    if config.run:
        return _pictures(*_of_run(config, config.run))
    source = DataConfig(
        config.data,
        image_size=config.image_size,
        image_column=config.image_column,
        label_column=config.label_column,
    )
    images = config.data in SOURCES or config.image_column or config.image_size
    if images or (not config.text_column and holds_images(config.data)):
        return _pictures(config, source)
    return _texts(config)


def _of_run(config: ProfileConfig, folder: Path) -> tuple[ProfileConfig, DataConfig]:
    """Return net, weights and data of a run."""
    if not (folder / "weights.safetensors").exists():
        raise InputError(f"{folder} is not the folder of a finished run: it holds no weights")
    usual = ProfileConfig()
    for name in ("model", "weights", "data", "classes", "image_size", "normalise"):
        if getattr(config, name) != getattr(usual, name):
            flag = name.replace("_", "-")
            raise InputError(f"a run brings its own {name}: leave out --{flag} or --run")
    run, weights = read_json(folder / "config.json"), folder / "weights.safetensors"
    source = DataConfig(**run["data"])
    return replace(config, model=run["net"], weights=weights, data=source.data), source


def _pictures(config: ProfileConfig, source: DataConfig) -> _Subject:
    data = lab_data.load(source)
    model, notices = _net(config, len(data.classes), data.image_shape)
    part = {"validation": data.val, "test": data.test, "train": data.train}[config.split]
    normalise, by = Normalise.of(data.train), "its training images"
    if config.normalise == "model":
        normalise, by = (
            _as_trained(model, data.image_shape[0]),
            "the mean and deviation of the model",
        )
    notices.append(f"Data: {config.split} images of {source.data}, normalised by {by}.")
    return _Subject(model, normalise(part.images), part.labels, notices)


def _texts(config: ProfileConfig) -> _Subject:
    data = load_texts(config.data, config.text_column, config.label_column)
    wanted = (config.split, "validation", "test", "train")
    name = next(name for name in wanted if name in data.splits)
    part = data.splits[name]
    model, notices = _net(config, len(data.classes), None)
    limit = getattr(getattr(model, "config", None), "max_position_embeddings", _LENGTH)
    length = min(_LENGTH, limit)
    x, cut = tokens(part.texts, length, config.tokenizer)
    _check_vocabulary(model, int(x["input_ids"].max()))
    read = "byte by byte" if config.tokenizer is None else f"by the tokenizer {config.tokenizer}"
    notices.append(
        f"Data: {name} texts of {config.data}, read {read}; {cut} of {len(part.texts)} "
        f"texts were cut at {length} tokens."
    )
    return _Subject(model, x if _takes_names(model) else x["input_ids"], part.labels, notices)


def _net(
    config: ProfileConfig, classes: int, image_shape: tuple[int, int, int] | None
) -> tuple[nn.Module, list[str]]:
    with torch_seed(config.seed):
        model = build(config.model, config.classes or classes, image_shape)
    notices = []
    if config.classes not in (None, classes):
        notices.append(
            f"The net has {config.classes} classes, the data {classes}: its loss of the mix "
            "means nothing."
        )
    if config.weights is None:
        return model, [f"Weights: random, of seed {config.seed} (--weights loads some).", *notices]
    _load(model, config.weights)
    return model, notices


def _load(model: nn.Module, path: Path) -> None:
    try:
        weights = load_file(path)
    except (OSError, SafetensorError) as error:
        raise InputError(f"cannot read weights from {path}: {error}") from error
    for prefix in ("_orig_mod.", "module."):
        weights = {name.removeprefix(prefix): tensor for name, tensor in weights.items()}
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines()[1:]]
        raise InputError(
            f"the weights in {path} are not those of this net: {lines[0]} Where the number of "
            "classes differs, --classes sets it; where the image size does, --image-size"
        ) from error


def _as_trained(model: nn.Module, channels: int) -> Normalise:
    config = getattr(model, "pretrained_cfg", None) or {}
    if len(config.get("mean", ())) != channels:
        raise InputError(
            f"{type(model).__name__} does not say how images of {channels} "
            f"channel{'s' * (channels != 1)} were normalised: use --normalise data"
        )
    return Normalise(*(255 * torch.tensor(config[name]) for name in ("mean", "std")))


def _check_vocabulary(model: nn.Module, highest: int) -> None:
    embedding: Any = getattr(model, "get_input_embeddings", lambda: None)()
    size = getattr(embedding, "num_embeddings", None)
    if size is not None and highest >= size:
        raise InputError(
            f"the texts have token ids up to {highest}, but the net's embedding has {size}: name "
            f"its tokenizer with --tokenizer, or give it a vocabulary of {BYTES} for bytes"
        )


def _takes_names(model: nn.Module) -> bool:
    """Tell whether a net takes ``input_ids`` by name."""
    parameters = inspect.signature(model.forward).parameters
    by_name = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    return by_name or "input_ids" in parameters
