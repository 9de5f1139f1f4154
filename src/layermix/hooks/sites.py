"""Where a mix point is: the module it belongs to, and whether it lies before or after it.

========== ================================== ======
point      module                             side
========== ================================== ======
input      the model                          before
final      the last layer of each classifier  before
logits     the model                          after
otherwise  the module of that name            after
========== ================================== ======
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from layermix.errors import InputError, unknown
from layermix.hooks.head import find_heads

SPECIAL = ("input", "final", "logits")


@dataclass(frozen=True)
class Site:
    """The place in a model that a mix point names: one module, for `final` a head or several."""

    name: str
    modules: tuple[nn.Module, ...]
    side: Literal["before", "after"]

    @property
    def module(self) -> nn.Module:
        """The module; of several heads the first, whose input is what is measured."""
        return self.modules[0]


def as_module(model: object) -> nn.Module:
    """Return the model, or raise an `InputError` when it is no module."""
    if isinstance(model, nn.Module):
        return model
    raise InputError(
        f"the model is a {type(model).__name__}, but must be a torch.nn.Module, compiled or not"
    )


def unwrap(model: nn.Module) -> nn.Module:
    """Return the model inside `torch.compile` and data parallel wrappers."""
    while True:
        inner = getattr(model, "_orig_mod", None)  # torch.compile
        if inner is None and type(model).__name__ in _WRAPPERS:
            inner = model.module
        if not isinstance(inner, nn.Module):
            return model
        model = inner


def device_of(model: nn.Module) -> torch.device:
    """Return the device of a model's first parameter; the CPU where it has none."""
    parameter = first_parameter(model)
    return torch.device("cpu") if parameter is None else parameter.device


def first_parameter(module: nn.Module) -> nn.Parameter | None:
    """Return a model's first parameter; None if it has none."""
    # Needed at each step: parameters() goes through names and sets and takes seven times as long.
    for parameter in module._parameters.values():
        if parameter is not None:
            return parameter
    for child in module._modules.values():
        if child is not None and (parameter := first_parameter(child)) is not None:
            return parameter
    return None


_WRAPPERS = ("DistributedDataParallel", "DataParallel", "FullyShardedDataParallel")


def find(model: nn.Module, point: str) -> Site:
    """Return the place that a mix point names in an unwrapped model.

    Raises
    ------
    InputError
        When there is no such point; the message lists the closest real names.
    """
    if point == "input":
        return Site(point, (model,), "before")
    if point == "logits":
        return Site(point, (model,), "after")
    if point == "final":
        return Site(point, tuple(find_heads(model).values()), "before")
    modules = dict(model.named_modules())
    if point == "" or point not in modules:
        raise unknown("mix point", point, [*SPECIAL, *(name for name in modules if name)])
    return Site(point, (modules[point],), "after")
