"""Guess the classifier of a model by its names, before anything has passed it.

A mixer is built before its model is called, and its hooks must be there when the model is compiled.
The first probe finds the final layers by what flows in the model (`final.py`) and corrects the
guess. timm models return their classifier. Elsewhere it is the last linear layer, or if there is
none the last convolution, inside the child that is named as heads are, or else of the whole model.
Distilled models have two heads, models of several branches a head for each.
"""

from typing import Any

from torch import nn

from layermix.errors import InputError

# Names under which models keep their classifier, in the order in which they are tried.
HEAD_NAMES = (
    *("fc", "classifier", "head", "heads", "score", "classification_head", "cls_classifier"),
    *("logits_proj", "sequence_summary"),
)
_DISTILLED = ("distillation_classifier", "classifier_distill", "head_dist")

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)

Heads = dict[str, nn.Module]  # module paths and modules


def find_heads(model: nn.Module) -> Heads:
    """Return path and module of the last layer of each classifier of a model, one or more.

    Raises
    ------
    InputError
        When the model has no classifier.
    """
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
    """Return whether the model has a classifier, and so a final layer."""
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
    """Return the last layer of a module, or of each item of a list of modules."""
    if isinstance(module, nn.ModuleList):
        items = [_heads_in(f"{path}.{name}", item) for name, item in module.named_children()]
        return {name: head for item in items for name, head in item.items()}
    if not isinstance(module, nn.Module):
        return {}
    return _last(module, path, nn.Linear) or _last(module, path, *_CONVOLUTIONS)


def _last(module: nn.Module, path: str, *kinds: type[nn.Module]) -> Heads:
    found = {name: m for name, m in module.named_modules(prefix=path) if isinstance(m, kinds)}
    return dict([found.popitem()]) if found else {}
