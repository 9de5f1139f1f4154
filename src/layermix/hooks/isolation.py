"""Run a model and restore everything that this changes.

A `Snapshot` covers buffers and other tensors in attributes, the attributes themselves (training
modes, hidden states kept between batches), lists, dictionaries, sets and queues in them, plain
objects that hold such values, NumPy arrays, random generators, and parameters that a forward pass
assigns. `layermix.hooks.deterministic` saves parameters when an operation writes them in place, so
that a snapshot never doubles the memory of a model.
"""

import collections
import inspect
import random
import types
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.grad_mode import _unsafe_preserve_version_counter

from layermix.errors import InputError, LayermixError
from layermix.hooks.batch import Batch, call, described
from layermix.hooks.deterministic import Deterministic
from layermix.hooks.sites import Site, device_of

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


See = Callable[[str, Any], None]


def observe(model: nn.Module, sites: Iterable[Site], x: Batch, see: See) -> Any:
    """Run one silent forward pass and call ``see(point, value)`` whenever a site is passed.

    The value is what the module returned, or for a site before a module (args, kwargs). An error
    of the model becomes an `InputError` that names the batch.
    """
    with ExitStack() as stack:
        for site in sites:
            stack.callback(monitor(site.module, site.side, partial(see, site.name)).remove)
        stack.enter_context(silent(model))
        return forward(model, x)


def forward(model: nn.Module, x: Batch) -> Any:
    """Call a model; an error of the model becomes an `InputError` that names the batch."""
    try:
        return call(model, x)
    except LayermixError:
        raise
    except Exception as error:
        raise InputError(
            f"{type(model).__name__} failed on a batch of {described(x)}: {error}"
        ) from error


def takes(model: nn.Module, names: Iterable[str]) -> bool:
    """Return True if a model takes an input by one of these names."""
    parameters = inspect.signature(model.forward).parameters
    by_name = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    return by_name or any(name in parameters for name in names)


@contextmanager
def silent(model: nn.Module) -> Iterator[None]:
    """Evaluate a model without a trace: eval mode, no gradient, eager; all restored at the end."""
    with untouched(model):
        model.eval()
        yield


@contextmanager
def untouched(model: nn.Module, random_free: bool = False) -> Iterator[Deterministic]:
    """Run a model without gradients, and restore everything that this changes.

    If `random_free`, random operations return constants.

    Restored are modes, buffers, attributes and parameters of the model, the global random states of
    torch, NumPy and Python, and the switches of torch that are set here: compiled code is not used,
    and neither are the fast paths of transformer encoders, which skip the hooks of their layers.
    """
    snapshot = Snapshot(model)
    deterministic = Deterministic(model.parameters(), random_free)
    device = device_of(model)
    numpy_state, python_state = np.random.get_state(), random.getstate()
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with (
            torch.no_grad(),
            torch.random.fork_rng(devices=[device] if device.type == "cuda" else []),
            torch.compiler.set_stance("force_eager"),
            warnings.catch_warnings(),
            deterministic,
        ):
            # Reentrant activation checkpointing warns of a forward pass without gradients.
            warnings.filterwarnings("ignore", "None of the inputs have requires_grad")
            yield deterministic
    finally:
        deterministic.restore()
        snapshot.restore()
        torch.backends.mha.set_fastpath_enabled(fast)
        np.random.set_state(numpy_state)
        random.setstate(python_state)


def monitor(
    module: nn.Module, side: Literal["before", "after"], see: Callable[[Any], None]
) -> torch.utils.hooks.RemovableHandle:
    """Call ``see(value)`` whenever a module is passed.

    The value is what the module returned, or before it (args, kwargs).
    """
    if side == "before":
        return module.register_forward_pre_hook(
            lambda _, args, kwargs: see((args, kwargs)), with_kwargs=True
        )
    return module.register_forward_hook(lambda _, args, output: see(output))
