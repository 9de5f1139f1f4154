"""Run a model and leave no trace: no mode, buffer, attribute, random state or switch is changed."""

import inspect
import random
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from layermix.errors import InputError, LayermixError
from layermix.hooks.batch import Batch, call, described
from layermix.hooks.deterministic import Deterministic
from layermix.hooks.sites import Site, device_of
from layermix.hooks.snapshot import Snapshot

See = Callable[[str, Any], None]


def observe(model: nn.Module, sites: Iterable[Site], x: Batch, see: See) -> Any:
    """Run one silent forward pass and call ``see(point, value)`` whenever a site is passed.

    The value is what the module returned, or for a site before a module (args, kwargs). An error
    of the model becomes an `InputError` that names the batch.
    """
    with ExitStack() as stack:
        for site in sites:
            stack.callback(watch(site.module, site.side, partial(see, site.name)).remove)
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


def watch(
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
