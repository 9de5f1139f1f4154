"""Register hooks that are not copied with a model, and remove them from any model.

Hooks of layermix belong to one mixer and one model; in a deep copy or a pickle they would have no
effect, and would prevent scripting, quantization and export. The first registration therefore
replaces `torch.nn.Module.__reduce_ex__`, which `copy.deepcopy`, `pickle` and `torch.save` use, by
a version that leaves out these hooks.
"""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from torch import nn
from torch.utils.hooks import RemovableHandle

from layermix.errors import InputError

_HOOKS = {  # a module's dictionaries of hooks, and those with flags of the same hooks
    "_forward_hooks": ("_forward_hooks_with_kwargs", "_forward_hooks_always_called"),
    "_forward_pre_hooks": ("_forward_pre_hooks_with_kwargs",),
}


class ModelHook:
    """Base class of objects with hook methods; an object built without arguments has no effect."""

    def __init__(self) -> None:
        self.handles: list[RemovableHandle] = []

    def register_before(self, module: nn.Module, hook: Any, *, prepend: bool = False) -> None:
        """Register a method of this object as a forward pre-hook that gets keyword arguments."""
        _leave_hooks_out_of_copies()
        handle = module.register_forward_pre_hook(hook, with_kwargs=True, prepend=prepend)
        self.handles.append(handle)

    def register_after(self, module: nn.Module, hook: Any, *, always_call: bool = False) -> None:
        """Register a method of this object as a forward hook."""
        _leave_hooks_out_of_copies()
        self.handles.append(module.register_forward_hook(hook, always_call=always_call))

    def remove(self) -> None:
        """Remove the hooks of this object from the model."""
        for handle in self.handles:
            handle.remove()

    def __reduce__(self) -> tuple:
        return type(self), ()  # copies without the patched `__reduce_ex__` get hooks without effect


def remove_hooks(model: nn.Module) -> None:
    """Remove all hooks of layermix from a model, including those of mixers and captures.

    Use it for a model whose mixer is no longer accessible. Copies of a model have no hooks.

    Parameters
    ----------
    model
        Any model. Other hooks are kept.

    Raises
    ------
    InputError
        If `model` is not a module.

    Examples
    --------
    >>> import torch, layermix as lm
    >>> model = torch.nn.Sequential(torch.nn.Linear(4, 3))
    >>> mixer = lm.Mixer(model, at="final")
    >>> lm.remove_hooks(model)
    >>> len(model[0]._forward_pre_hooks)
    0
    """
    if not isinstance(model, nn.Module):
        raise InputError(f"the model is a {type(model).__name__}, but must be a torch.nn.Module")
    for module in model.modules():
        for name, flags in _HOOKS.items():
            for key in _ours(getattr(module, name)):
                for hooks in (name, *flags):
                    getattr(module, hooks).pop(key, None)


def hooks_of(module: nn.Module) -> list[ModelHook]:
    """Return the objects of layermix that have hooks on a module."""
    return [hook for name in _HOOKS for hook in _ours(getattr(module, name)).values()]


def _ours(hooks: Mapping[int, Any]) -> dict[int, ModelHook]:
    found = {key: getattr(hook, "__self__", None) for key, hook in hooks.items()}
    return {key: owner for key, owner in found.items() if isinstance(owner, ModelHook)}


def _leave_hooks_out_of_copies() -> None:
    if nn.Module.__reduce_ex__ is not _reduced:
        nn.Module.__reduce_ex__ = _reduced  # pyright: ignore[reportAttributeAccessIssue]


_reduce_ex = nn.Module.__reduce_ex__


def _reduced(self: nn.Module, protocol: Any) -> Any:
    reduced = _reduce_ex(self, protocol)
    if isinstance(reduced, str) or len(reduced) < 3 or not isinstance(reduced[2], dict):
        return reduced
    state = reduced[2]
    clean: dict[str, Any] = {}
    for name, flags in _HOOKS.items():
        if ours := _ours(state.get(name, {})):
            for hooks in (name, *flags):
                kept = [(k, v) for k, v in state.get(hooks, {}).items() if k not in ours]
                clean[hooks] = OrderedDict(kept)
    return (*reduced[:2], {**state, **clean}, *reduced[3:]) if clean else reduced
