"""Images for a profile: of a data source or of a run, normalised as the net expects them."""

from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from layermix.errors import InputError
from layermix.lab import data as lab_data
from layermix.lab.data import DataConfig, Normalise
from layermix.lab.profiling.config import ProfileConfig, Subject, refuse
from layermix.lab.profiling.net import load_net
from layermix.lab.store import read_json

_OF_RUN = ("model", "weights", "data", "classes", "image_size", "image_column", "label_column")


def of_run(config: ProfileConfig, folder: Path) -> Subject:
    """Return the net, weights and data of a run."""
    if not (folder / "weights.safetensors").exists():
        raise InputError(f"{folder} is not the folder of a finished run: it holds no weights")
    refuse(config, (*_OF_RUN, "normalise"), "a run brings its own {name}", " or --run")
    why = "a run has images, which have no {name}"
    refuse(config, ("text_column", "tokenizer"), why, " or --run")
    run, weights = read_json(folder / "config.json"), folder / "weights.safetensors"
    source = DataConfig(**run["data"])
    return of_pictures(replace(config, model=run["net"], weights=weights, data=source.data), source)


def of_pictures(config: ProfileConfig, source: DataConfig) -> Subject:
    """Return a net for images, and the images of one split."""
    data = lab_data.load(source)
    model, notices = load_net(config, len(data.classes), data.image_shape)
    part = {"validation": data.val, "test": data.test, "train": data.train}[config.split]
    normalise, by = Normalise.of(data.train), "its training images"
    if config.normalise == "model":
        normalise, by = (
            _as_trained(model, data.image_shape[0]),
            "the mean and deviation of the model",
        )
    notices.append(f"Data: {config.split} images of {source.data}, normalised by {by}.")
    return Subject(model, normalise(part.images), part.labels, notices)


def _as_trained(model: nn.Module, channels: int) -> Normalise:
    config = getattr(model, "pretrained_cfg", None) or {}
    if len(config.get("mean", ())) != channels:
        raise InputError(
            f"{type(model).__name__} does not say how images of {channels} "
            f"channel{'s' * (channels != 1)} were normalised: use --normalise data"
        )
    return Normalise(*(255 * torch.tensor(config[name]) for name in ("mean", "std")))
