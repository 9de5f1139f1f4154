"""Where a mix point is: the module it belongs to, and whether it lies before or after it.

========== ================================== ======
point      module                             side
========== ================================== ======
input      the model                          before
final      the last linear classifier         before
logits     the model                          after
otherwise  the module of that name            after
========== ================================== ======
"""

from dataclasses import dataclass
from typing import Any, Literal

from torch import nn

from layermix.errors import InputError, unknown

SPECIAL = ("input", "final", "logits")

# Names under which models keep their classifier, in the order in which they are tried.
_HEAD_NAMES = ("fc", "classifier", "head", "heads", "score")


@dataclass(frozen=True)
class Site:
    """The place in a model that a mix point names."""

    name: str
    module: nn.Module
    side: Literal["before", "after"]


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


_WRAPPERS = ("DistributedDataParallel", "DataParallel", "FullyShardedDataParallel")


def find(model: nn.Module, point: str) -> Site:
    """Return the place that a mix point names in an unwrapped model.

    Raises
    ------
    InputError
        When there is no such point; the message lists the closest real names.
    """
    if point == "input":
        return Site(point, model, "before")
    if point == "logits":
        return Site(point, model, "after")
    if point == "final":
        return Site(point, find_head(model)[1], "before")
    modules = dict(model.named_modules())
    if point == "" or point not in modules:
        raise unknown("mix point", point, [*SPECIAL, *(name for name in modules if name)])
    return Site(point, modules[point], "after")


def find_head(model: nn.Module) -> tuple[str, nn.Module]:
    """Return name and module of the last linear classifier of a model.

    A timm model is asked for its classifier. Elsewhere it is the last linear layer inside the
    child named as heads are (`fc`, `classifier`, `head`, `score`; so Hugging Face's heads are
    found), else the last linear layer of the whole model.
    """
    if callable(getattr(model, "get_classifier", None)):
        return _timm_head(model)
    for name in _HEAD_NAMES:
        child = getattr(model, name, None)
        if isinstance(child, nn.Module) and (head := _last_linear(child)):
            return f"{name}.{head[0]}".rstrip("."), head[1]
    if head := _last_linear(model):
        return head
    raise InputError(
        f"{type(model).__name__} has no linear layer, so it has no 'final' mix point: name the "
        "module to mix after, or use 'logits'"
    )


def _timm_head(model: Any) -> tuple[str, nn.Module]:
    head = model.get_classifier()
    if isinstance(head, nn.Module) and not isinstance(head, nn.Identity):
        for name, module in model.named_modules():
            if module is head:
                return name, module
    shown = "a list of heads" if isinstance(head, tuple | list) else type(head).__name__
    raise InputError(
        f"the classifier of {type(model).__name__} is {shown}, so it has no 'final' mix point: "
        "build the model with one classifier (num_classes > 0), or name the module to mix after"
    )


def _last_linear(model: nn.Module) -> tuple[str, nn.Module] | None:
    linear = [(name, m) for name, m in model.named_modules() if isinstance(m, nn.Linear)]
    return linear[-1] if linear else None
