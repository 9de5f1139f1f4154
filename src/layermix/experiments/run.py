"""Train one run: a variant with a seed, from its configuration to its output folder."""

import functools
import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import torch
from torch import nn

from layermix.errors import InputError
from layermix.experiments import store
from layermix.experiments.data import DataConfig, Dataset, load
from layermix.experiments.data.sources import default_augmentation
from layermix.experiments.models import build
from layermix.experiments.store import Record, RunConfig, RunResult
from layermix.experiments.training import environment as env
from layermix.experiments.training.batches import Normalize
from layermix.experiments.training.loop import Trainer
from layermix.experiments.training.recipe import Recipe
from layermix.experiments.variants import compared_points, mix_points, mixer_settings
from layermix.extras import require
from layermix.hooks import Points, points

_INIT_IMAGES = 5000  # maximum number of images for `initialize_from`

load_once = functools.lru_cache(maxsize=1)(load)  # once for each seed in a process


def run(
    config: RunConfig,
    folder: Path,
    on_epoch: Callable[[Record], None] | None = None,
    *,
    threads: int | None = None,
    keep_features: bool = False,
    all_points: Points | None = None,
) -> RunResult:
    """Train a model and write its output folder, which is created when the run is finished.

    Parameters
    ----------
    on_epoch
        Called with the record of each epoch.
    threads
        Number of CPU threads; None uses torch's default.
    keep_features
        If True, also write the activations of the monitored batch before and after training.
    all_points
        All mix points of the model; None lists them with `find_points`.

    Raises
    ------
    InputError
        If the folder exists, or the data, model, variant or device is invalid.
    RunError
        If the loss becomes NaN or infinite. The files remain as ``FOLDER-unfinished``.
    """
    require("torchmetrics")  # is only imported after training
    if folder.exists():
        raise InputError(f"the output folder {folder} exists already: use another --out")
    with env.cpu_settings(threads):
        trainer = _trainer(config, all_points)
        with store.new_run(folder) as files, (files / "epochs.jsonl").open("a", 1) as lines:
            store.write_json(files / "config.json", asdict(replace(config, recipe=trainer.recipe)))
            features = trainer.monitor.features("start") if keep_features else {}
            result = trainer.train(lambda record: print(json.dumps(record), file=lines), on_epoch)
            result = replace(result, conditions=env.conditions(config.recipe.device))
            content = asdict(replace(result, records=[], logits={}))
            del content["records"], content["logits"]
            store.write_json(files / "result.json", content)
            store.write_tensors(files / "logits.safetensors", result.logits)
            store.write_tensors(files / "weights.safetensors", trainer.raw_model.state_dict())
            if keep_features:
                features |= trainer.monitor.features("end")
                store.write_tensors(files / "features.safetensors", features)
    return result


def _trainer(config: RunConfig, all_points: Points | None) -> Trainer:
    device = env.pick_device(config.recipe.device)
    data = load_once(config.data, config.seed)
    model = fresh_model(config.model, data, config.seed)
    known = find_points(model, data) if all_points is None else all_points
    recipe = complete(config.recipe, config.data, data)
    return Trainer(
        model.to(device),
        data.to(device),
        recipe,
        mix_points(config.variant, known),
        mix_settings=mixer_settings(config.variant, known, recipe),
        monitor_at=compared_points(known),
        seed=config.seed,
        adapt=config.variant == "auto" and recipe.adapt,
    )


def complete(recipe: Recipe, source: DataConfig, data: Dataset) -> Recipe:
    """Check a recipe; replace ``auto`` for `crop` and `flip` by the defaults of the data."""
    recipe.check()
    size = min(data.image_shape[1:])
    crop, flip = default_augmentation(source, size)
    crop = crop if recipe.crop == "auto" else recipe.crop
    if crop >= size:
        raise InputError(f"crop is {crop}, but must be below the image size of {size} pixels")
    return replace(recipe, crop=crop, flip=flip if recipe.flip == "auto" else recipe.flip)


def fresh_model(name: str, data: Dataset, seed: int) -> nn.Module:
    """Build an untrained model for the data; the seed determines its initial weights.

    If the model has a method `initialize_from`, it is called with normalized training images.
    """
    with env.torch_seed(env.RunSeeds.of(seed).init):
        model = build(name, len(data.classes), data.image_shape)
    if callable(initialize := getattr(model, "initialize_from", None)):
        initialize(Normalize.of(data.train)(data.train.images[:_INIT_IMAGES]))
    return model


def find_points(model: nn.Module, data: Dataset) -> Points:
    """Return all mix points of a model, which is probed on images of the data set."""
    few = data.train[torch.arange(min(3, len(data.train)))]
    try:
        return points(model, Normalize.of(few)(few.images), all=True)
    except InputError as error:
        size = " × ".join(map(str, data.image_shape))
        raise InputError(
            f"{error}. The images are {size}: if this is the cause, resize them with --image-size"
        ) from error
