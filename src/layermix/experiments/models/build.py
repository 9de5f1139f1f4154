"""Build a model by name: one of `MODELS`, a model of timm or transformers, or a custom factory.

To add a model, write its class in this folder and add it to `MODELS`. A factory is called with
those of the arguments `num_classes`, `in_channels` and `image_size` (in pixels) that it accepts.
"""

import functools
import importlib
import inspect
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import nn

from layermix.errors import InputError, unknown
from layermix.experiments.models import mlp, networks, vit
from layermix.extras import require

MODELS: dict[str, Callable[..., nn.Module]] = {
    "resnet18": networks.ResNet18,
    "preactresnet18": networks.PreActResNet18,
    "resnet-small": networks.SmallResNet,
    "resnet-small-gn": functools.partial(networks.SmallResNet, norm=networks.group_norm),
    "speed": networks.SpeedNet,
    "vit-small": vit.SmallViT,
    "mlp": mlp.MLP,
    "mlp-ln": functools.partial(mlp.MLP, norm=nn.LayerNorm),
}
_SHOWN, _LONG = 3, 160  # maximum number of torch's errors in a message, and characters of each
_WRAPPERS = ("_orig_mod.", "module.")  # name prefixes of torch.compile and parallel training


def build(
    name: str, num_classes: int, image_shape: tuple[int, int, int] | None = None
) -> nn.Module:
    """Build a model by name, with random weights from torch's global generator.

    `name` is one of `MODELS`, ``timm:NAME``, ``transformers:CONFIG`` (a folder with a
    ``config.json``, or the hub id of a model), or ``package.module:factory``. `image_shape` is
    (channels, height, width), or None for a text model.

    Raises
    ------
    InputError
        If the model does not exist, or cannot be built for these data.
    """
    factory = _factory(name)
    if not callable(factory):
        raise InputError(f"{name} is a {type(factory).__name__}, which cannot be called")
    parameters = inspect.signature(factory).parameters
    arguments = {"num_classes": num_classes}
    if image_shape:
        channels, height, width = image_shape
        arguments |= {"in_channels": channels, "image_size": height}
        if "image_size" in parameters and height != width:
            raise InputError(f"{name} needs square images, but these are {height} × {width} pixels")
    elif name in MODELS or any(
        p.name in ("in_channels", "image_size") and p.default is p.empty
        for p in parameters.values()
    ):
        raise InputError(
            f"the data are texts, but {name} needs images: use a text model, such as "
            "transformers:FOLDER, or data with images"
        )
    if all(p.kind is not p.VAR_KEYWORD for p in parameters.values()):
        arguments = {key: value for key, value in arguments.items() if key in parameters}
    try:
        model = _call(factory, arguments)
    except Exception as error:
        raise InputError(f"cannot build the model {name!r} with {arguments}: {error}") from error
    if not isinstance(model, nn.Module):
        raise InputError(f"{name} returned a {type(model).__name__}, not a torch.nn.Module")
    return model


def _factory(name: str) -> Any:
    if name in MODELS:
        return MODELS[name]
    prefix, colon, rest = name.partition(":")
    if not colon:
        raise unknown(
            "model", name, [*MODELS, "timm:NAME", "transformers:CONFIG", "package.module:factory"]
        )
    if prefix == "timm":
        return _timm(rest)
    if prefix == "transformers":
        require(prefix)
        return functools.partial(_from_config, rest)
    try:
        return getattr(importlib.import_module(prefix), rest)
    except Exception as error:  # a user's module may raise anything
        is_missing = isinstance(error, ImportError | AttributeError)
        reason = error if is_missing else f"{type(error).__name__}: {error}"
        raise InputError(f"cannot find the model {name!r}: {reason}") from error


def _timm(name: str) -> Callable[..., nn.Module]:
    import timm

    if not timm.is_model(name):
        raise unknown("timm model", name, timm.list_models())

    def factory(num_classes: int, in_channels: int, image_size: int) -> nn.Module:
        options: dict[str, Any] = {"num_classes": num_classes, "in_chans": in_channels}
        try:
            return timm.create_model(name, img_size=image_size, **options)
        except TypeError:  # a model for images of any size
            return timm.create_model(name, **options)

    return factory


def _from_config(
    name: str, num_classes: int, in_channels: int | None = None, image_size: int | None = None
) -> nn.Module:
    """Return an untrained classifier of transformers, for texts if `image_size` is None."""
    import transformers

    try:
        config: Any = transformers.AutoConfig.from_pretrained(name)
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"there is no configuration {name!r}: {reason}") from error
    config.num_labels = num_classes
    for setting, value in (("image_size", image_size), ("num_channels", in_channels)):
        if value is not None and hasattr(config, setting):
            setattr(config, setting, value)
    kind, family = "texts", transformers.AutoModelForSequenceClassification
    if image_size is not None:
        kind, family = "images", transformers.AutoModelForImageClassification
    try:
        return family.from_config(config)
    except ValueError as error:
        if not str(error).startswith("Unrecognized configuration class"):
            raise
        raise InputError(
            f"the data are {kind}, but transformers has no classifier of {kind} for a "
            f"{type(config).__name__}: use another model, or other data"
        ) from error


def _call(factory: Callable[..., Any], arguments: dict[str, int]) -> Any:
    """Call a factory; if one of its inner functions refuses an argument, leave the argument out."""
    try:
        return factory(**arguments)
    except TypeError as error:
        refused = [key for key in arguments if f"unexpected keyword argument '{key}'" in str(error)]
        if not refused:
            raise
        return _call(factory, {key: arguments[key] for key in arguments if key not in refused})


def load_weights(model: nn.Module, path: Path) -> None:
    """Load weights from a safetensors file; remove name prefixes that wrappers have added."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        weights = load_file(path)
    except (OSError, SafetensorError) as error:
        raise InputError(f"cannot read weights from {path}: {error}") from error
    expected = model.state_dict()
    for prefix in 2 * _WRAPPERS:
        if set(weights) != set(expected) and all(name.startswith(prefix) for name in weights):
            weights = {name.removeprefix(prefix): tensor for name, tensor in weights.items()}
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        reasons = str(error).split("\n\t")[1 : 1 + _SHOWN]
        raise InputError(
            f"the weights in {path} do not match this model: "
            f"{' '.join(textwrap.shorten(reason, _LONG) for reason in reasons)} --classes sets the "
            "number of classes, --image-size the size of the images"
        ) from error
