"""The net of a profile: built from its name, with weights of a file or random ones."""

from collections.abc import Collection
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from layermix.errors import InputError
from layermix.lab.nets import build
from layermix.lab.profiling.config import ProfileConfig
from layermix.lab.training.streams import torch_seed

_RANDOM = "Weights: random, of seed {}; this is the profile of an untrained net (see --weights)."
_WRAPPERS = ("_orig_mod.", "module.")  # torch.compile and parallel training put these before names


def load_net(
    config: ProfileConfig, classes: int, image_shape: tuple[int, int, int] | None
) -> tuple[nn.Module, list[str]]:
    """Return the net for so many classes, and what is to be said of it.

    Parameters
    ----------
    config
        What is asked for.
    classes
        Number of classes of the data.
    image_shape
        Channels, height and width of the images; None for texts.
    """
    with torch_seed(config.seed):
        model = build(config.model, config.classes or classes, image_shape)
    notices = []
    if config.classes not in (None, classes):
        notices.append(
            f"The net has {config.classes} classes, the data {classes}: its loss of the mix "
            "means nothing."
        )
    if config.weights is None:
        return model, [_RANDOM.format(config.seed), *notices]
    _load(model, config.weights)
    return model, notices


def _load(model: nn.Module, path: Path) -> None:
    try:
        weights = load_file(path)
    except (OSError, SafetensorError) as error:
        raise InputError(f"cannot read weights from {path}: {error}") from error
    try:
        model.load_state_dict(_unwrapped(weights, model.state_dict().keys()))
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines()[1:]]
        raise InputError(
            f"the weights in {path} are not those of this net: {lines[0]} Where the number of "
            "classes differs, --classes sets it; where the image size does, --image-size"
        ) from error


def _unwrapped(weights: dict[str, Tensor], own: Collection[str]) -> dict[str, Tensor]:
    """Take off what a wrapper put before every name, unless the names are the net's own."""
    for prefix in 2 * _WRAPPERS:
        if set(weights) != set(own) and all(name.startswith(prefix) for name in weights):
            weights = {name.removeprefix(prefix): tensor for name, tensor in weights.items()}
    return weights
