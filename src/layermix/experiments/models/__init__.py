"""Nets: our own residual networks and an MLP, any timm or transformers model, any factory.

A new net is a file with a class, and a line in `NETS`. A factory is called with those of
`num_classes`, `in_channels` and `image_size` (height and width in pixels) that it takes.
"""

import functools
import importlib
import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from layermix.errors import InputError, unknown
from layermix.experiments.models.hugging_face import from_config
from layermix.experiments.models.mlp import MLP
from layermix.experiments.models.resnet import PreActResNet18, ResNet18
from layermix.experiments.models.small import SmallResNet
from layermix.experiments.models.speed import SpeedNet
from layermix.hooks import Points, points

__all__ = ["NETS", "build", "points_of"]

NETS: dict[str, Callable[..., nn.Module]] = {
    "resnet18": ResNet18,
    "preactresnet18": PreActResNet18,
    "resnet-small": SmallResNet,
    "speed": SpeedNet,
    "mlp": MLP,
}


def build(
    name: str, num_classes: int, image_shape: tuple[int, int, int] | None = None
) -> nn.Module:
    """Build a net, its weights drawn from torch's global generator.

    Parameters
    ----------
    name
        A name in `NETS`, ``timm:NAME``, ``transformers:CONFIG`` (a folder with a ``config.json``,
        or the hub id of a model), or ``package.module:factory``.
    num_classes
        Number of logits.
    image_shape
        Channels, height and width of the images, in pixels; None for a net that reads text.

    Raises
    ------
    InputError
        When there is no such net, or it cannot be built for these images.
    """
    factory = _factory(name)
    offered = {"num_classes": num_classes}
    named = _parameters(name, factory)
    if image_shape:
        channels, height, width = image_shape
        offered |= {"in_channels": channels, "image_size": height}
        if "image_size" in named and height != width:
            raise InputError(f"{name} needs square images, but these are {height} × {width} pixels")
    elif name in NETS or any(_needs(factory, key) for key in ("in_channels", "image_size")):
        raise InputError(
            f"the data hold texts, but {name} takes images: name a net that reads texts, such as "
            "transformers:FOLDER, or data with images"
        )
    takes_any = inspect.Parameter.VAR_KEYWORD in named.values()
    taken = {key: value for key, value in offered.items() if takes_any or key in named}
    try:
        model = _call(factory, taken)
    except Exception as error:
        raise InputError(f"cannot build the net {name!r} with {taken}: {error}") from error
    if not isinstance(model, nn.Module):
        raise InputError(f"{name} returned a {type(model).__name__}, not a torch.nn.Module")
    return model


def _factory(name: str) -> Callable[..., Any]:
    if name in NETS:
        return NETS[name]
    prefix, colon, rest = name.partition(":")
    if not colon:
        raise unknown(
            "net", name, [*NETS, "timm:NAME", "transformers:CONFIG", "package.module:factory"]
        )
    if prefix == "timm":
        return _timm(rest)
    if prefix == "transformers":
        return functools.partial(from_config, rest)
    try:
        return getattr(importlib.import_module(prefix), rest)
    except Exception as error:  # a module of one's own may fail in any way
        raise InputError(f"cannot find the net {name!r}: {_words(error)}") from error


def _timm(name: str) -> Callable[..., nn.Module]:
    try:
        import timm
    except ImportError as error:
        raise InputError(f"timm:{name} needs timm: pip install timm") from error
    if not timm.is_model(name):
        raise unknown("timm model", name, timm.list_models())

    def factory(num_classes: int, in_channels: int, image_size: int) -> nn.Module:
        options: dict[str, Any] = {"num_classes": num_classes, "in_chans": in_channels}
        try:
            return timm.create_model(name, img_size=image_size, **options)
        except TypeError:  # a net for images of any size
            return timm.create_model(name, **options)

    return factory


def _parameters(name: str, factory: Callable[..., Any]) -> dict[str, Any]:
    """Return name and kind of what a factory takes."""
    if not callable(factory):
        raise InputError(f"{name} is a {type(factory).__name__}, which cannot be called")
    return {key: p.kind for key, p in inspect.signature(factory).parameters.items()}


def _needs(factory: Callable[..., Any], key: str) -> bool:
    """Tell whether a factory cannot be called without an argument."""
    parameter = inspect.signature(factory).parameters.get(key)
    return parameter is not None and parameter.default is inspect.Parameter.empty


def _call(factory: Callable[..., Any], offered: dict[str, int]) -> Any:
    """Call a factory that hands its keywords on, without those that are refused further down."""
    try:
        return factory(**offered)
    except TypeError as error:
        refused = [key for key in offered if f"unexpected keyword argument '{key}'" in str(error)]
        if not refused:
            raise
        return _call(factory, {key: offered[key] for key in offered if key not in refused})


def _words(error: Exception) -> str:
    kind = type(error).__name__
    return str(error) if isinstance(error, ImportError | AttributeError) else f"{kind}: {error}"


def points_of(
    net: str, image_size: int, channels: int, classes: int, *, all: bool = False
) -> Points:
    """Return the mix points of a net by name, for images of that size; see `layermix.points`.

    Raises
    ------
    InputError
        For an unknown net, or a number below 1.
    """
    for name, value in (("image-size", image_size), ("channels", channels), ("classes", classes)):
        if value < 1:
            raise InputError(f"{name} is {value}, but must be 1 or more")
    shape = (channels, image_size, image_size)
    return points(build(net, classes, shape), torch.zeros(3, *shape), all=all)
