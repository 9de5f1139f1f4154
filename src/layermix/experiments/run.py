"""One run: a variant at a seed, from its configuration to its folder."""

import functools
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import nn

from layermix.errors import InputError, RunError
from layermix.experiments import data as sources
from layermix.experiments.data import DataConfig, Dataset, Normalise
from layermix.experiments.models import build
from layermix.experiments.store import RunFolder
from layermix.experiments.training.cpu import cpu_settings
from layermix.experiments.training.recipe import Recipe, pick_device
from layermix.experiments.training.streams import Streams, torch_seed
from layermix.experiments.training.train import Trainer
from layermix.experiments.training.trained import Record
from layermix.experiments.variants import candidates, mix_points, mixer_settings
from layermix.hooks import Points, points

_PREPARED = 5000  # images that a net may see before its first step


@dataclass(frozen=True)
class RunConfig:
    """Everything that determines a run."""

    data: DataConfig
    net: str
    recipe: Recipe
    variant: str
    seed: int

    @property
    def name(self) -> str:
        """Name of the run, and of its folder, which some systems allow no colon in."""
        return f"{self.variant.replace(':', ',')}-seed{self.seed}"


def run(
    config: RunConfig,
    folder: Path,
    on_epoch: Callable[[Record], None] | None = None,
    *,
    threads: int | None = None,
    keep_features: bool = False,
) -> dict:
    """Train a net and write its folder; return the content of its ``result.json``.

    Parameters
    ----------
    config
        What to train.
    folder
        Where to write; it must not exist, and exists once the run is finished.
    on_epoch
        Called with the record of each epoch.
    threads
        Number of CPU threads; torch's own choice when left out.
    keep_features
        Also keep the activations of the watched batch before and after training.

    Raises
    ------
    InputError
        When the folder exists, or data, net, variant or device cannot be had.
    RunError
        When the loss becomes NaN or infinite; what was written stays as ``FOLDER-unfinished``.
    """
    if folder.exists():
        raise InputError(f"the output folder {folder} exists already: name another --out")
    with cpu_settings(threads):
        return _run(config, folder, on_epoch, keep_features)


def _run(
    config: RunConfig,
    folder: Path,
    on_epoch: Callable[[Record], None] | None,
    keep_features: bool,
) -> dict:
    device = pick_device(config.recipe.device)
    data = load_once(config.data)
    model = fresh_net(config.net, data, config.seed)
    found = mix_points_of(model, data)
    recipe = complete(config.recipe, config.data, data)
    trainer = Trainer(
        model.to(device),
        data.to(device),
        recipe,
        mix_points(config.variant, found),
        candidates(found),
        config.seed,
        adapt=config.variant == "auto" and recipe.adapt,
        how=mixer_settings(config.variant, found, recipe),
    )
    started = time.perf_counter()
    with RunFolder(folder) as written:
        written.write_json("config.json", asdict(replace(config, recipe=recipe)))

        def record(epoch: Record) -> None:
            written.append(epoch)
            if on_epoch:
                on_epoch(epoch)

        try:
            trained = trainer.train(record, keep_features)
        except RunError as error:
            raise RunError(f"{error}. Its records are in {written.left}") from error
        result = {
            "test": trained.measures,
            "val": trained.val,
            **({} if trained.views is None else {"test_views": trained.views}),
            "sizes": {
                "train": len(data.train),
                "val": len(data.val),
                "test": len(data.test),
                "watched": len(trainer.watch.batch),
                "classes": len(data.classes),
            },
            "classes": list(data.classes),
            "chosen": data.chosen,
            "timings": {
                "seconds": trained.seconds,
                "geometry_seconds": trained.geometry_seconds,
                "images_per_second": trained.images_per_second,
                "total_seconds": time.perf_counter() - started,
            },
        }
        written.write_json("result.json", result)
        written.write_weights(trained.model)
        if keep_features:
            labels = {"labels": trainer.watch.batch.labels.cpu()}
            written.write_tensors("features", trained.features | labels)
    return result


def complete(recipe: Recipe, source: DataConfig, data: Dataset) -> Recipe:
    """Return a checked recipe, with the crop and flip that suit the data where it has none."""
    recipe.check()
    size = min(data.image_shape[1:])
    crop, flip = sources.default_augmentation(source, size)
    crop = crop if recipe.crop is None else recipe.crop
    if crop >= size:
        raise InputError(f"crop is {crop}, but must be below the images' size of {size} pixels")
    return replace(recipe, crop=crop, flip=flip if recipe.flip is None else recipe.flip)


def fresh_net(name: str, data: Dataset, seed: int) -> nn.Module:
    """Build a net for the data, with the initial weights of a seed.

    A net with a method `initialise_from` is shown training images first, normalised.
    """
    with torch_seed(Streams.of(seed).init):
        model = build(name, len(data.classes), data.image_shape)
    if callable(initialise := getattr(model, "initialise_from", None)):
        initialise(Normalise.of(data.train)(data.train.images[:_PREPARED]))
    return model


def mix_points_of(model: nn.Module, data: Dataset) -> Points:
    """List all mix points of a net on the data's images."""
    few = data.train[torch.arange(min(3, len(data.train)))]
    try:
        return points(model, Normalise.of(few)(few.images), all=True)
    except InputError as error:
        size = " × ".join(map(str, data.image_shape))
        raise InputError(
            f"{error}. The images are {size}: --image-size resizes them, where that is why"
        ) from error


@functools.lru_cache(maxsize=1)
def load_once(config: DataConfig) -> Dataset:
    """Load data, once in each process."""
    return sources.load(config)
