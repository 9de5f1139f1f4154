"""Images for a profile: of a data source or of a run, normalised as the net expects them."""

import contextlib
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from layermix.errors import InputError
from layermix.experiments import data as sources
from layermix.experiments.data import DataConfig, Dataset, Normalise, Split
from layermix.experiments.data.dataset import resize
from layermix.experiments.profiling.config import ProfileConfig, Subject, refuse
from layermix.experiments.profiling.net import load_net
from layermix.experiments.store import read_json

_OF_RUN = ("net", "weights", "data", "classes", "image_size", "image_column", "label_column")


def of_run(config: ProfileConfig, folder: Path) -> Subject:
    """Return the net, weights and data of a run."""
    if not (folder / "weights.safetensors").exists():
        raise InputError(f"{folder} is not the folder of a finished run: {_no_run(folder)}")
    refuse(config, (*_OF_RUN, "normalise"), "a run brings its own {name}", " or --run")
    why = "a run has images, which have no {name}"
    refuse(config, ("text_column", "tokenizer"), why, " or --run")
    run, weights = read_json(folder / "config.json"), folder / "weights.safetensors"
    source = DataConfig(**run["data"])
    config = replace(config, net=run["net"], weights=weights, data=source.data)
    return _subject(config, sources.load(source), None)


def _no_run(folder: Path) -> str:
    """Return what a folder is instead of a run."""
    if not folder.exists():
        return "it does not exist"
    runs = sorted(path.name for path in (folder / "runs").glob("[!.]*"))
    return f"it is a study; name {folder / 'runs' / runs[0]}" if runs else "it holds no weights"


def of_pictures(config: ProfileConfig, source: DataConfig) -> Subject:
    """Return a net for images, and the images of one split."""
    return _subject(config, *_loaded(source))


class Pictures(torch.utils.data.Dataset):
    """Images of a split, each of them resized and normalised only when it is asked for.

    Thousands of images at the size of a large net would not fit into memory.

    Parameters
    ----------
    split
        The images.
    normalise
        What is done to them.
    size
        Height and width in pixels that they are resized to; as they are when left out.
    """

    def __init__(self, split: Split, normalise: Normalise, size: int | None = None) -> None:
        self.split, self.normalise, self.size = split, normalise, size

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        image = self.split.images[index : index + 1]
        if self.size is not None:
            image = resize(image, self.size)
        return self.normalise(image)[0], self.split.labels[index]


def _loaded(source: DataConfig) -> tuple[Dataset, int | None]:
    """Load images as they are, with the size that is still to be given to them, if any."""
    size = source.image_size
    if size is not None and size > 0:
        with contextlib.suppress(InputError):  # images that differ in size
            return sources.load(replace(source, image_size=None)), size
    return sources.load(source), None


def _subject(config: ProfileConfig, data: Dataset, size: int | None) -> Subject:
    """Return the net and the images of one split, which are resized where a size is given."""
    channels, *shape = data.image_shape
    height, width = (size, size) if size is not None else shape
    model, notices = load_net(config, len(data.classes), (channels, height, width))
    part = {"validation": data.val, "test": data.test, "train": data.train}[config.split]
    normalise, by = Normalise.of(data.train), "its training images"
    if config.normalise == "model":
        normalise, by = _as_trained(model, channels), "the mean and deviation of the model"
    notices.append(f"Data: {config.split} images of {config.data}, normalised by {by}.")
    return Subject(model, Pictures(part, normalise, size), notices)


def _as_trained(model: nn.Module, channels: int) -> Normalise:
    config = getattr(model, "pretrained_cfg", None) or {}
    if len(config.get("mean", ())) != channels:
        raise InputError(
            f"{type(model).__name__} does not say how images of {channels} "
            f"channel{'s' * (channels != 1)} were normalised: use --normalise data"
        )
    return Normalise(*(255 * torch.tensor(config[name]) for name in ("mean", "std")))
