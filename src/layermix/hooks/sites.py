"""Find the hook site of a mix point by its name: its module, and the side of the module to mix.

========== ================================== ======
point      module                             side
========== ================================== ======
input      the model                          before
final      the last layer of each classifier  before
logits     the model                          after
otherwise  the module of that name            after
========== ================================== ======

Before the model is called, the classifier is guessed: by timm's ``get_classifier``, or as the last
linear layer of a child with a usual name. The first probe corrects the guess (`final.py`).
"""

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn

from layermix.errors import InputError, unknown

HEAD_NAMES = (  # of classifiers, in the order in which they are tried
    *("fc", "classifier", "head", "heads", "score", "classification_head", "cls_classifier"),
    *("logits_proj", "sequence_summary"),
)
_DISTILLED = ("distillation_classifier", "classifier_distill", "head_dist")

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)

HookSide = Literal["before", "after"]
Heads = dict[str, nn.Module]  # module paths and modules


def find_heads(model: nn.Module) -> Heads:
    """Return the last layer of each classifier by path; raise an `InputError` if there is none."""
    if callable(getattr(model, "get_classifier", None)):
        return _timm_heads(model)
    for name in HEAD_NAMES:
        if heads := _heads_in(name, getattr(model, name, None)):
            for second in _DISTILLED:
                heads |= _heads_in(second, getattr(model, second, None))
            return heads
    if last := _last(model, "", nn.Linear) or _last(model, "", *_CONVOLUTIONS):
        return last
    raise InputError(
        f"{type(model).__name__} has no linear layer, so it has no 'final' mix point: name the "
        "module to mix after, or use 'logits'"
    )


def has_head(model: nn.Module) -> bool:
    """Return True if the model has a classifier, and therefore a final layer."""
    try:
        find_heads(model)
    except InputError:
        return False
    return True


def _timm_heads(model: Any) -> Heads:
    paths = {id(module): name for name, module in model.named_modules()}
    found = model.get_classifier()
    several = isinstance(found, tuple | list | nn.ModuleList)
    heads: Heads = {}
    for head in found if several else [found]:
        if id(head) in paths:
            heads |= _heads_in(paths[id(head)], head)
    if heads:
        return heads
    shown = [type(head).__name__ for head in found] if several else type(found).__name__
    raise InputError(
        f"the classifier of {type(model).__name__} is {shown}, so it has no 'final' mix point: "
        "build the model with num_classes > 0, or name the module to mix after"
    )


def _heads_in(path: str, module: Any) -> Heads:
    if isinstance(module, nn.ModuleList):
        items = [_heads_in(f"{path}.{name}", item) for name, item in module.named_children()]
        return {name: head for item in items for name, head in item.items()}
    if not isinstance(module, nn.Module):
        return {}
    return _last(module, path, nn.Linear) or _last(module, path, *_CONVOLUTIONS)


def _last(module: nn.Module, path: str, *kinds: type[nn.Module]) -> Heads:
    found = {name: m for name, m in module.named_modules(prefix=path) if isinstance(m, kinds)}
    return dict([found.popitem()]) if found else {}


SPECIAL = ("input", "final", "logits")


@dataclass(frozen=True)
class Site:
    """Hook site of a mix point: one module or several heads, and which side of them is mixed."""

    name: str
    modules: tuple[nn.Module, ...]
    side: HookSide

    @property
    def module(self) -> nn.Module:
        """The module, or the first module if there are several heads."""
        return self.modules[0]


def as_module(model: object) -> nn.Module:
    """Return the model, or raise an `InputError` if it is not a module."""
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
    """Return the device of a model's first parameter; the CPU if it has none."""
    parameter = next(model.parameters(), None)
    return torch.device("cpu") if parameter is None else parameter.device


_WRAPPERS = ("DistributedDataParallel", "DataParallel", "FullyShardedDataParallel")


def find(model: nn.Module, point: str) -> Site:
    """Return the hook site of a point of an unwrapped model; raise an `InputError` if unknown."""
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
