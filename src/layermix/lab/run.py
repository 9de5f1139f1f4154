"""Train one run: a variant with a seed, from its configuration to its output folder."""

import functools
import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import torch
from torch import nn

from layermix.errors import InputError, recorded_warnings
from layermix.extras import require
from layermix.hooks import Points, points
from layermix.lab import store
from layermix.lab.data import DataConfig, Dataset, load
from layermix.lab.data.sources import file_states
from layermix.lab.models import Factory, build
from layermix.lab.store import Record, RunConfig, RunResult
from layermix.lab.training import environment as env
from layermix.lab.training.loop import Trainer
from layermix.lab.training.recipe import Recipe
from layermix.lab.variants import compared_points, mix_points, mixer_settings

_INIT_EXAMPLES = 5000  # maximum number of examples for `initialize_from`


def load_once(config: DataConfig, seed: int) -> Dataset:
    """Load the data of a seed, once in a process as long as its files do not change."""
    return _load(config, seed, file_states(config))


@functools.lru_cache(maxsize=1)
def _load(config: DataConfig, seed: int, files: tuple) -> Dataset:
    del files
    return load(config, seed)


def run(
    config: RunConfig,
    folder: Path,
    on_epoch: Callable[[Record], None] | None = None,
    *,
    threads: int | None = None,
    keep_features: bool = False,
    all_points: Points | None = None,
    factory: Factory | None = None,
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
    factory
        Builds the model, with those arguments of the data that it accepts (see `build`); None
        builds it by its name.

    Raises
    ------
    InputError
        If the folder exists, or the data, model, variant or device is invalid.
    RunError
        If the loss becomes NaN or infinite. The files remain as ``FOLDER-unfinished``.
    """
    check_new(folder)
    with env.cpu_settings(threads), env.fast_convolutions():
        data = load_once(config.data, config.seed)
        config = replace(config, model=model_name(config.model, data))
        trainer = trainer_of(config, all_points, factory)
        with store.new_run(folder) as files, (files / "epochs.jsonl").open("a", 1) as lines:
            store.write_json(files / "config.json", asdict(replace(config, recipe=trainer.recipe)))
            features = trainer.monitor.features("start") if keep_features else {}
            with recorded_warnings() as warnings:
                write = functools.partial(print, file=lines)
                result = trainer.train(lambda record: write(json.dumps(record)), on_epoch)
            result = replace(result, warnings=warnings)
            result = write_result(files, result, config.recipe.device)
            store.write_tensors(files / "weights.safetensors", trainer.raw_model.state_dict())
            if keep_features:
                features |= trainer.monitor.features("end")
                store.write_tensors(files / "features.safetensors", features)
    return result


def check_new(folder: Path) -> None:
    """Raise an error if the folder of a run exists, or a library for its results is missing."""
    require("torchmetrics")  # is only imported after training
    if folder.exists():
        raise InputError(f"the output folder {folder} exists already: use another --out")


def write_result(files: Path, result: RunResult, device: str) -> RunResult:
    """Write the result of a run and its logits; return the result with versions and hardware."""
    result = replace(result, conditions=env.conditions(device))
    content = asdict(replace(result, records=[], logits={}))
    del content["records"], content["logits"]
    store.write_json(files / "result.json", content)
    store.write_tensors(files / "logits.safetensors", result.logits)
    return result


def trainer_of(
    config: RunConfig,
    all_points: Points | None = None,
    factory: Factory | None = None,
) -> Trainer:
    """Return a trainer of a run, whose data are loaded; arguments as for `run`."""
    data = load_once(config.data, config.seed)
    device = env.pick_device(config.recipe.device)
    model = fresh_model(config.model, data, config.seed, factory)
    known = find_points(model, data) if all_points is None else all_points
    recipe = complete(config.recipe, data)
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


def complete(recipe: Recipe, data: Dataset) -> Recipe:
    """Check a recipe; replace values that are ``auto`` or not set by the defaults of the data."""
    recipe = recipe.resolved(data.modality.default_optimizer)
    recipe.check()
    crop, flip = data.modality.default_augmentation(data.train.inputs)
    crop = crop if recipe.crop == "auto" else recipe.crop
    flip = flip if recipe.flip == "auto" else recipe.flip
    recipe = replace(recipe, crop=crop, flip=flip)
    _check_augmentation(recipe, data)
    return recipe


def _check_augmentation(recipe: Recipe, data: Dataset) -> None:
    """Raise an `InputError` if the recipe augments inputs in a way that they do not allow."""
    inputs, noun = data.train.inputs, data.modality.noun
    if inputs.ndim != 4:
        for name, none in (("crop", 0), ("flip", False), ("augment", "none"), ("views", False)):
            if (value := getattr(recipe, name)) != none:
                raise InputError(
                    f"{name} is {value}, but the data have {noun}, which have no such "
                    f"augmentation: leave out --{name}"
                )
        return
    size, (crop, _) = min(inputs.shape[2:]), recipe.crop_and_flip
    if crop >= size:
        raise InputError(f"crop is {crop}, but must be below the size of {size} pixels")
    if recipe.augment not in ("none", "cutout") and inputs.dtype != torch.uint8:
        raise InputError(
            f"augment is {recipe.augment!r}, which needs images, but the data have {noun}: use "
            "'cutout' or 'none'"
        )


def model_name(name: str, data: Dataset) -> str:
    """Return the name of a model, where ``auto`` is the default model of the data."""
    return data.modality.default_model if name == "auto" else name


def fresh_model(name: str, data: Dataset, seed: int, factory: Factory | None = None) -> nn.Module:
    """Build an untrained model for the data; the seed determines its initial weights.

    It is built by its name, or by a factory.

    If the model has a method `initialize_from`, it is called with preprocessed training examples.
    """
    inputs = data.train.inputs
    with env.torch_seed(env.RunSeeds.of(seed).init):
        arguments = data.modality.model_arguments(inputs)
        model = build(name, len(data.classes), arguments, factory)
    if callable(initialize := getattr(model, "initialize_from", None)):
        initialize(data.preprocess(inputs[:_INIT_EXAMPLES]))
    return model


def find_points(model: nn.Module, data: Dataset) -> Points:
    """Return all mix points of a model, which is probed on training examples."""
    x = data.preprocess(data.train.inputs[:3])
    try:
        return points(model, x, all=True)
    except InputError as error:
        if data.train.inputs.ndim != 4:
            raise
        size = " × ".join(map(str, data.train.inputs.shape[1:]))
        raise InputError(
            f"{error}. The {data.modality.noun} are {size}: if this is the cause, resize them with "
            "--image-size"
        ) from error
