"""Profile a model by name: build it, load weights and held-out data, and measure every layer."""

import contextlib
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from layermix.errors import InputError
from layermix.geometry import Profile, profile
from layermix.hooks.isolation import takes
from layermix.lab.data import DataConfig, Dataset, Split, load
from layermix.lab.data.modalities.images import Normalize, resize
from layermix.lab.data.modality import Preprocess
from layermix.lab.data.sources import kind_of, load_texts
from layermix.lab.data.tokens import tokens_for
from layermix.lab.models import MODELS
from layermix.lab.models.build import build, load_weights, read_weights, require_trust
from layermix.lab.profile_config import ProfileConfig
from layermix.lab.store import read_run
from layermix.lab.training.environment import pick_device, torch_seed

_SUFFIXES = (".json", ".csv", ".svg", ".png", ".pdf")
_RUN_SETS = ("model", "weights", "data", "classes", "image_size", "image_column", "label_column")
_RUN_SETS += ("normalize", "text_column", "drop_columns", "categorical_columns", "tokenizer")
_OF_IMAGES = ("image_size", "image_column", "normalize")

ModelAndData = tuple[nn.Module, Any, list[str]]  # the third element is a list of notices


def take_profile(config: ProfileConfig) -> Profile:
    """Build the model, load weights and data, and return the profile."""
    config.check()
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
    source = _source(config)
    kind = kind_of(source)
    if kind == "text" and config.model not in MODELS:
        return _texts(config)
    if kind != "text":
        _refuse(config, ("text_column", "tokenizer"), f"{config.data} has no texts")
    if kind != "image":
        _refuse(config, _OF_IMAGES, f"{config.data} has no images")
        return _examples(config, load(source))
    data, size = None, config.image_size
    if size is not None and size > 0:
        with contextlib.suppress(InputError):  # images of different sizes
            data = load(replace(source, image_size=None))
    return _examples(config, data, size) if data else _examples(config, load(source))


def _source(config: ProfileConfig) -> DataConfig:
    common = {field.name for field in fields(DataConfig)} & {field.name for field in fields(config)}
    settings = {name: getattr(config, name) for name in common}
    settings["tokenizer"] = config.tokenizer or DataConfig.tokenizer
    return DataConfig(**settings, fixed_split=True)


def _refuse(config: ProfileConfig, names: tuple[str, ...], why: str, remedy: str = "") -> None:
    """Raise an `InputError` if one of the settings `names` does not have its default value."""
    for field in fields(config):
        if field.name in names and getattr(config, field.name) != field.default:
            flag = field.name.replace("_", "-")
            raise InputError(f"{why.format(name=field.name)}: leave out --{flag}{remedy}")


def _subject_of_run(config: ProfileConfig, folder: Path) -> ModelAndData:
    weights = folder / "weights.safetensors"
    if not weights.exists():
        runs = sorted((folder / "runs").glob("*"))
        why = f"it is a study; use {runs[0]}" if runs else "it has no weights"
        why = why if folder.exists() else "it does not exist"
        raise InputError(f"{folder} is not the folder of a finished run: {why}")
    _refuse(config, _RUN_SETS, "a run has its own {name}", " or --run")
    run, _ = read_run(folder)
    require_trust(run["model"], folder, config.trust)
    config = replace(config, model=run["model"], weights=weights, data=run["data"]["data"])
    return _examples(config, load(DataConfig(**run["data"]), run["seed"]))


def _examples(config: ProfileConfig, data: Dataset, size: int | None = None) -> ModelAndData:
    """Return the model and the examples of one split, images resized to `size` if it is given."""
    split = {"validation": data.val, "test": data.test, "train": data.train}[config.split]
    one, noun = split.inputs[:1], data.modality.noun
    one = one if size is None else one.new_empty(1, one.shape[1], size, size)
    model, notices = _build(config, len(data.classes), data.modality.model_arguments(one))
    preprocess, source = data.preprocess, "preprocessed as in training"
    if isinstance(preprocess, Normalize):
        source = f"normalized by its training {noun}"
    if config.normalize == "model":
        preprocess = _as_trained(model, one.shape[1])
        source = "normalized by the mean and deviation of the model"
    notices.append(f"Data: {config.split} {noun} of {config.data}, {source}.")
    if split.inputs.ndim == 4:
        return model, LazyImages(split, preprocess, size), notices
    return model, (preprocess(split.inputs), split.labels), notices


class LazyImages(torch.utils.data.Dataset):
    """Images of a split that are resized (if a size is given) and preprocessed when they are read.

    Otherwise thousands of images at the size of a large model would not fit into memory.
    """

    def __init__(self, split: Split, preprocess: Preprocess, size: int | None = None) -> None:
        self.split, self.preprocess, self.size = split, preprocess, size

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        image = self.split.inputs[index : index + 1]
        if self.size is not None:
            image = resize(image, self.size)
        return self.preprocess(image)[0], self.split.labels[index]


def _as_trained(model: nn.Module, channels: int) -> Normalize:
    config = getattr(model, "pretrained_cfg", None) or {}
    if len(config.get("mean", ())) != channels:
        raise InputError(
            f"{type(model).__name__} has no mean and deviation for images of {channels} "
            f"channel{'s' * (channels != 1)}: use --normalize data"
        )
    return Normalize(*(255 * torch.tensor(config[name]) for name in ("mean", "std")))


def _texts(config: ProfileConfig) -> ModelAndData:
    _refuse(config, _OF_IMAGES, f"{config.data} has no images")
    splits, classes = load_texts(config.data, config.text_column, config.label_column)
    name, notes = config.split, []
    if name not in splits:
        name = next((n for n in ("validation", "test", "train") if n in splits), next(iter(splits)))
        notes = [f"There is no {config.split} split in the data: {name} texts are used instead."]
    model, notices = _build(config, len(classes), {})
    texts, labels = splits[name]
    read = tokens_for(model, texts, None if config.tokenizer == "bytes" else config.tokenizer)
    how = f"by the tokenizer {config.tokenizer}" if config.tokenizer else "byte by byte"
    notices.append(
        f"Data: {name} texts of {config.data}, read {how}; {read.truncated} of "
        f"{len(texts)} texts were truncated to {read.length} tokens."
    )
    x = read.x if takes(model, ["input_ids"]) else read.x["input_ids"]
    return model, (x, labels), [*notices, *notes]


def _build(
    config: ProfileConfig, classes: int, arguments: dict[str, Any]
) -> tuple[nn.Module, list[str]]:
    """Return the model for a number of classes, and notices about it to show with the profile."""
    with torch_seed(config.seed):
        model = build(config.model, config.classes or classes, arguments)
    notices = []
    if config.weights is None:
        untrained = "this is the profile of an untrained model (see --weights)."
        notices.append(f"Weights: random, of seed {config.seed}; {untrained}")
    else:
        load_weights(model, read_weights(config.weights), config.weights)
    if config.classes not in (None, classes):
        notices.append(
            f"The model has {config.classes} classes, the data {classes}: its loss of the mix has "
            "no meaning."
        )
    return model, notices
