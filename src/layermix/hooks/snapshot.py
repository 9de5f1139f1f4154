"""Save everything of a model that a forward pass can change, and restore it.

Covered are buffers and other tensors in attributes, the attributes themselves (training modes,
hidden states kept between batches), lists, dictionaries, sets and queues in them, plain objects
that hold such values, NumPy arrays, random generators, and parameters that a forward pass assigns.
Parameters that it writes in place are saved by `layermix.hooks.deterministic` when that happens,
so that a snapshot never doubles the memory of a model.
"""

import collections
import random
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.grad_mode import _unsafe_preserve_version_counter

_DEPTH = 3  # plain objects inside plain objects; a trainer or a data set is not searched whole
_CONTAINERS = (list, dict, set, collections.deque)
_OPAQUE = (type, types.ModuleType, types.FunctionType, types.MethodType, str, bytes)


class Snapshot:
    """The state of a model at one moment.

    Parameters
    ----------
    model
        Any model. Modules that it holds without registering them are included.
    """

    def __init__(self, model: nn.Module) -> None:
        self._undo: list[Callable[[], None]] = []
        self._seen: dict[int, Any] = {}  # by identity; the values keep the identities unique
        # Sharded parameters are gathered and freed by their own bookkeeping.
        self._sharded = any(type(m).__name__.startswith("FSDP") for m in model.modules())
        for module in model.modules():
            self._visit(module, 0)

    def restore(self) -> None:
        """Put everything back as it was; can be called more than once."""
        for undo in self._undo:
            undo()

    def _visit(self, value: Any, depth: int) -> None:
        if id(value) in self._seen or isinstance(value, _OPAQUE) or depth > _DEPTH:
            return
        self._seen[id(value)] = value
        if isinstance(value, nn.Module):
            self._visit_attributes(value, 0)
        elif isinstance(value, Tensor):
            self._undo.append(_undo_tensor(value))
        elif isinstance(value, _CONTAINERS):
            self._undo.append(_undo_container(value))
            for item in value.values() if isinstance(value, dict) else tuple(value):
                self._visit(item, depth)
        elif isinstance(value, tuple | frozenset):
            for item in value:
                self._visit(item, depth)
        elif undo := _undo_known(value):
            self._undo.append(undo)
        elif hasattr(value, "__dict__") and not type(value).__module__.startswith("torch."):
            self._visit_attributes(value, depth + 1)

    def _visit_attributes(self, value: Any, depth: int) -> None:
        attributes = vars(value)
        self._undo.append(_undo_container(attributes))
        for name, item in tuple(attributes.items()):
            if not (self._sharded and name == "_parameters"):
                self._visit(item, depth)


def _undo_container(value: Any) -> Callable[[], None]:
    saved = list(value.items()) if isinstance(value, dict) else list(value)

    def undo() -> None:
        now = list(value.items()) if isinstance(value, dict) else list(value)
        if len(now) == len(saved) and all(map(_same, now, saved)):
            return
        value.clear()
        if isinstance(value, dict | set):
            value.update(saved)
        else:
            value.extend(saved)

    return undo


def _same(one: Any, other: Any) -> bool:
    """Return True if two entries of a container are the same objects."""
    if type(one) is tuple and type(other) is tuple and len(one) == len(other) == 2:
        return one[0] is other[0] and one[1] is other[1]
    return one is other


def _undo_tensor(value: Tensor) -> Callable[[], None]:
    if isinstance(value, nn.Parameter):
        return _undo_parameter(value)
    if value.is_meta or value.layout != torch.strided or value.is_nested:
        return _nothing
    # A tensor with gradient history is detached; the copy keeps values alone.
    data, saved = value.detach(), value.detach().clone()
    # A graph that was built before may have saved the tensor and refuses newer versions of it.
    version = _unsafe_preserve_version_counter(data)

    def undo() -> None:
        if value.data_ptr() != data.data_ptr() or value.shape != data.shape:
            value.data = data
        if not data.equal(saved):
            data.copy_(saved)
        version.__exit__()

    return undo


def _undo_parameter(value: nn.Parameter) -> Callable[[], None]:
    data = value.data

    def undo() -> None:
        if value.data_ptr() != data.data_ptr() or value.shape != data.shape:
            value.data = data

    return undo if not value.is_meta else _nothing


def _undo_known(value: Any) -> Callable[[], None] | None:
    """Return how to restore an array or a random generator; None for any other object."""
    if isinstance(value, np.ndarray):
        array = value.copy()
        return lambda: np.copyto(value, array) if value.flags.writeable else None
    if isinstance(value, torch.Generator):
        state = value.get_state()
        return lambda: value.set_state(state) and None
    if isinstance(value, np.random.Generator):
        bits = value.bit_generator
        drawn = bits.state
        return lambda: setattr(bits, "state", drawn)
    if isinstance(value, np.random.RandomState):
        legacy = value.get_state()
        return lambda: value.set_state(legacy)
    if isinstance(value, random.Random):
        internal = value.getstate()
        return lambda: value.setstate(internal)
    return None


def _nothing() -> None:
    """Restore nothing."""
