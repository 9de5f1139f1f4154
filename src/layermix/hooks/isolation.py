"""Run a model, and restore everything that the run changes.

A `Snapshot` stores attributes (training modes, hidden states between batches), tensors and plain
objects in them, NumPy arrays, random generators, and which tensor each parameter is. It does not
copy the values of parameters, which would double the memory of the model: `deterministic.py` saves
a parameter only when an operation writes to it in place.
"""

import collections
import inspect
import random
import types
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.grad_mode import _unsafe_preserve_version_counter

from layermix.errors import InputError, LayermixError
from layermix.hooks.batch import Batch, call, described
from layermix.hooks.deterministic import Deterministic
from layermix.hooks.sites import Site, device_of
from layermix.mixing.distributed import is_sharded

_DEPTH = 3  # levels of nested plain objects, so that a trainer or a data set is not searched
_CONTAINERS = (list, dict, set, collections.deque)
_OPAQUE = (type, types.ModuleType, types.FunctionType, types.MethodType, str, bytes)


class Snapshot:
    """A snapshot of a model's state, including modules that are not registered as submodules."""

    def __init__(self, model: nn.Module) -> None:
        self._undo: list[Callable[[], None]] = []
        self._seen: dict[int, Any] = {}  # by identity; the values keep the identities unique
        # FSDP gathers and frees sharded parameters itself.
        self._sharded = is_sharded(model)
        for module in model.modules():
            self._visit(module, 0)

    def restore(self) -> None:
        """Restore the state of the model; may be called more than once."""
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
    saved = list(value.items() if isinstance(value, dict) else value)
    before = _identities(value)

    def undo() -> None:
        if _identities(value) != before:
            value.clear()
            (value.update if isinstance(value, dict | set) else value.extend)(saved)

    return undo


def _identities(value: Any) -> list[int]:
    return list(map(id, [*value, *(value.values() if isinstance(value, dict) else ())]))


def _undo_tensor(value: Tensor) -> Callable[[], None]:
    parameter = isinstance(value, nn.Parameter)
    if value.is_meta or (not parameter and (value.layout != torch.strided or value.is_nested)):
        return lambda: None
    # A tensor with gradient history is detached; the copy has only its values.
    data = value.data if parameter else value.detach()
    saved = None if parameter else data.clone()
    # An earlier graph may have saved the tensor, and raises an error if its version changes.
    version = None if parameter else _unsafe_preserve_version_counter(data)

    def undo() -> None:
        if value.data_ptr() != data.data_ptr() or value.shape != data.shape:
            value.data = data
        if saved is not None and not data.equal(saved):
            data.copy_(saved)
        if version is not None:
            version.__exit__()

    return undo


def _undo_known(value: Any) -> Callable[[], None] | None:
    if isinstance(value, np.ndarray):
        array = value.copy()
        return lambda: np.copyto(value, array) if value.flags.writeable else None
    if isinstance(value, np.random.Generator):
        bits, drawn = value.bit_generator, value.bit_generator.state
        return lambda: setattr(bits, "state", drawn)
    if isinstance(value, torch.Generator | np.random.RandomState):
        return partial(value.set_state, value.get_state())  # pyright: ignore[reportReturnType]
    return partial(value.setstate, value.getstate()) if isinstance(value, random.Random) else None


def observe(
    model: nn.Module, sites: Iterable[Site], x: Batch, call_at: Callable[[str, Any], None]
) -> Any:
    """Run a pass in eval mode; call ``call_at(point, value)`` at the first module of each site."""
    first = [replace(site, modules=site.modules[:1]) for site in sites]
    with monitoring(first, lambda name, _, value: call_at(name, value)), silent(model):
        return forward(model, x)


def forward(model: nn.Module, x: Batch) -> Any:
    """Call a model; convert its errors to an `InputError` with the shapes of the batch."""
    try:
        return call(model, x)
    except LayermixError:
        raise
    except Exception as error:
        raise InputError(
            f"{type(model).__name__} failed on a batch of {described(x)}: {error}"
        ) from error


def takes(model: nn.Module, names: Iterable[str]) -> bool:
    """Return True if ``model.forward`` accepts an argument with one of these names."""
    parameters = inspect.signature(model.forward).parameters
    by_name = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    return by_name or any(name in parameters for name in names)


@contextmanager
def silent(model: nn.Module) -> Iterator[None]:
    """Run the block in eval mode, without gradients or compiled code; then restore all state."""
    with untouched(model):
        model.eval()
        yield


@contextmanager
def untouched(model: nn.Module, random_free: bool = False) -> Iterator[Deterministic]:
    """Disable gradients and compilation in the block; then restore model and random states."""
    snapshot = Snapshot(model)
    deterministic = Deterministic(model.parameters(), random_free)
    device = device_of(model)
    numpy_state, python_state = np.random.get_state(), random.getstate()
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # fast paths skip the hooks of layers
    try:
        with (
            torch.no_grad(),
            torch.random.fork_rng(devices=[device] if device.type == "cuda" else []),
            torch.compiler.set_stance("force_eager"),
            warnings.catch_warnings(),
            deterministic,
        ):
            # Reentrant activation checkpointing warns about a forward pass without gradients.
            warnings.filterwarnings("ignore", "None of the inputs have requires_grad")
            yield deterministic
    finally:
        deterministic.restore()
        snapshot.restore()
        torch.backends.mha.set_fastpath_enabled(fast)
        np.random.set_state(numpy_state)
        random.setstate(python_state)


@contextmanager
def monitoring(sites: Iterable[Site], call_at: Callable[[str, int, Any], None]) -> Iterator[None]:
    """Inside the block, call ``call_at(point, index, value)`` at each module of the sites.

    `index` is that of the module in its site. The value is the module's output, or its (args,
    kwargs) if ``site.side`` is ``"before"``.
    """
    with ExitStack() as stack:
        for site in sites:
            for index, module in enumerate(site.modules):
                report = partial(call_at, site.name, index)
                if site.side == "before":
                    handle = module.register_forward_pre_hook(
                        lambda _, args, kwargs, f=report: f((args, kwargs)), with_kwargs=True
                    )
                else:
                    handle = module.register_forward_hook(
                        lambda _, args, output, f=report: f(output)
                    )
                stack.callback(handle.remove)
        yield
