"""Set up a run from its configuration: data, model, complete recipe, and trainer."""

import functools
import warnings
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from layermix.errors import InputError
from layermix.hooks import Points, points
from layermix.hooks.batch import Batch, call
from layermix.hooks.isolation import untouched
from layermix.lab.data import DataConfig, Dataset, Source, Split, load
from layermix.lab.data.sources import file_states, split_source
from layermix.lab.models import Factory, build
from layermix.lab.store import RunConfig
from layermix.lab.training import environment as env
from layermix.lab.training.loop import Trainer
from layermix.lab.training.recipe import Recipe
from layermix.lab.variants import compared_points, mix_points, mixer_settings
from layermix.mixing.targets.target import logits_of

_INIT_EXAMPLES = 5000  # maximum number of examples for `initialize_from`


def load_once(config: DataConfig, seed: int) -> Dataset:
    """Load the data of a seed, once in a process as long as its files do not change."""
    return _load(config, seed, file_states(config))


@functools.lru_cache(maxsize=1)
def _load(config: DataConfig, seed: int, files: tuple) -> Dataset:
    del files
    if source := _PROVIDED.get(config):
        return split_source(source, config, seed)
    return load(config, seed)


def provide_source(config: DataConfig, found: Any) -> None:
    """Use decoded data that another process has sent, instead of loading them.

    `found` are the arrays of inputs and labels by split, the class names and the modality, or None
    for built-in data.
    """
    if found is None or config in _PROVIDED:
        return
    arrays, classes, modality = found
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the arrays are read-only, and never changed
        splits = {
            name: Split(torch.from_numpy(inputs), torch.from_numpy(labels))
            for name, (inputs, labels) in arrays.items()
        }
    _PROVIDED[config] = Source(splits, classes, modality)


_PROVIDED: dict[DataConfig, Source] = {}


def trainer_of(
    config: RunConfig,
    all_points: Points | None = None,
    factory: Factory | None = None,
) -> Trainer:
    """Load the data of a run, build its model, by a `factory` if it is given; return a trainer."""
    data = load_once(config.data, config.seed)
    device = env.pick_device(config.recipe.device)
    model = fresh_model(model_name(config.model, data), data, config.seed, factory)
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


def _check_output(model: nn.Module, x: Batch, shape: tuple[int, int]) -> None:
    """Raise an `InputError` if a model does not return logits (B, K) that have a gradient."""
    with untouched(model, random_free=True), torch.enable_grad():
        logits = logits_of(call(model.train(), x))
    name = type(model).__name__
    if not logits.is_floating_point() or logits.shape != shape:
        raise InputError(
            f"the output of the model {name} is {logits.dtype} of shape {tuple(logits.shape)}, but "
            f"must be floating-point logits of shape {shape}: an example per row, a class per "
            "column"
        )
    if not logits.requires_grad:
        raise InputError(
            f"the output of the model {name} has no gradient: it needs parameters with "
            "requires_grad, and its forward pass must not detach them"
        )


def find_points(model: nn.Module, data: Dataset) -> Points:
    """Return all mix points of a model, which is probed on training examples."""
    x = data.preprocess(data.train.inputs[:3])
    try:
        found = points(model, x, all=True)
    except InputError as error:
        if data.train.inputs.ndim != 4:
            raise
        size = " × ".join(map(str, data.train.inputs.shape[1:]))
        raise InputError(
            f"{error}. The {data.modality.noun} are {size}: if this is the cause, resize them with "
            "--image-size"
        ) from error
    _check_output(model, x, (3, len(data.classes)))
    return found
