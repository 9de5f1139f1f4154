"""The net of a profile: built from its name, with weights of a file or random ones."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from layermix.errors import InputError
from layermix.experiments.models import build
from layermix.experiments.profiling.config import ProfileConfig
from layermix.experiments.training.streams import torch_seed

_RANDOM = "Weights: random, of seed {}; this is the profile of an untrained net (see --weights)."
_SHOWN = 3  # of the names of weights that do not fit
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
        model = build(config.net, config.classes or classes, image_shape)
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
    own = model.state_dict()
    weights = _unwrapped(weights, own.keys())
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise InputError(
            f"the weights in {path} are not those of this net: {_wrong(weights, own)}. Where the "
            "number of classes differs, --classes sets it; where the image size does, --image-size"
        ) from error


def _wrong(weights: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> str:
    """Return in words which weights are missing, unknown or of another shape."""
    both = [name for name in own if name in weights]
    other = {n: (tuple(weights[n].shape), tuple(own[n].shape)) for n in both}
    found = {
        "of another shape": [f"{n} {a}, not {b}" for n, (a, b) in other.items() if a != b],
        "missing": [name for name in own if name not in weights],
        "not in the net": [name for name in weights if name not in own],
    }
    return "; ".join(f"{len(n)} {what} ({_some(n)})" for what, n in found.items() if n)


def _some(names: Sequence[str]) -> str:
    """Return the first names, and that there are more."""
    return ", ".join(names[:_SHOWN]) + ", ..." * (len(names) > _SHOWN)


def _unwrapped(weights: dict[str, Tensor], own: Collection[str]) -> dict[str, Tensor]:
    """Take off what a wrapper put before every name, unless the names are the net's own."""
    for prefix in 2 * _WRAPPERS:
        if set(weights) != set(own) and all(name.startswith(prefix) for name in weights):
            weights = {name.removeprefix(prefix): tensor for name, tensor in weights.items()}
    return weights
