"""Capture features at mix points: with their autograd graph in training, or detached in eval."""

import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Self

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from layermix.errors import InputError, unknown
from layermix.hooks.batch import Batch
from layermix.hooks.isolation import observe
from layermix.hooks.nested import main_tensor
from layermix.hooks.points import MixPoint, names_of
from layermix.hooks.probe import Probe
from layermix.hooks.recorder import Recorder
from layermix.hooks.sites import as_module, find, unwrap


class FeatureCapture:
    """Store the features at mix points, with their autograd graph, in each training forward pass.

    ``capture[name]`` is the tensor of the last forward pass in training mode with gradients on;
    ``dict(capture)`` has all of them. They are kept until the next such pass or `clear`. The hooks
    are removed by `remove`, at the end of a ``with`` block, or when the capture is deleted.

    Build it before the first call of a compiled model: torch ignores hooks that are added later.
    A capture built before a `Mixer` of the model returns the features before the mix, one built
    after it the mixed features. Inside a block with reentrant activation checkpointing, features
    have no graph and cannot be read; the output of the block can.

    Parameters
    ----------
    model
        Any model; wrappers of `torch.compile` and data parallel training are removed.
    at
        One or several of ``"input"``, ``"final"``, ``"logits"``, module paths and rows of `points`.
    always
        Keep features in eval mode too, for training with norms that are frozen by ``model.eval()``.
    batch_dim
        Dimension of the batch for `check`, 1 for models whose batch is second.

    Raises
    ------
    InputError
        If a mix point is unknown, or none is given.

    Examples
    --------
    >>> import torch, layermix as lm
    >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
    >>> capture, criterion = lm.FeatureCapture(model, at="1"), lm.SoftNearestNeighborLoss()
    >>> x, y = torch.randn(6, 4), torch.tensor([0, 0, 1, 1, 2, 2])
    >>> loss = torch.nn.functional.cross_entropy(model(x), y) + 0.1 * criterion(capture["1"], y)
    >>> loss.backward()
    >>> capture["1"].shape
    torch.Size([6, 8])
    """

    def __init__(
        self,
        model: nn.Module | Callable[..., Any],
        at: str | MixPoint | Iterable[str | MixPoint],
        *,
        always: bool = False,
        batch_dim: int = 0,
    ) -> None:
        names = tuple(dict.fromkeys(names_of(at)))
        if not names:
            raise InputError("no mix point was given: name at least one, for example 'final'")
        self.model = as_module(model)
        self._names, self._always, self._batch_dim = names, always, batch_dim
        self._recorder: Recorder | None = None
        self._attach()

    def __getstate__(self) -> dict[str, Any]:
        """Return the state without hooks; a copy adds new hooks to its own copy of the model."""
        return {**{k: v for k, v in vars(self).items() if k != "_unhook"}, "_recorder": None}

    def _attach(self) -> Recorder:
        if self._recorder is None:
            inner = unwrap(self.model)
            sites = {name: find(inner, name) for name in self._names}
            self._recorder = Recorder(sites, self._always)
            self._unhook = weakref.finalize(self, _remove, self._recorder.install(inner, sites))
            self._unhook.atexit = False
        return self._recorder

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the mix points whose features are stored."""
        return self._names

    def __getitem__(self, point: str) -> Tensor:
        """Return the features at a mix point from the last training forward pass, (B, ...).

        Raises
        ------
        InputError
            If the capture does not have this point, the last pass did not call it exactly once, or
            its features have no graph or were changed in place.
        """
        slots = self._attach().slots
        if point not in slots:
            raise unknown("mix point of this capture", point, self.names)
        return slots[point].read()

    def __iter__(self) -> Iterator[str]:
        return iter(self._attach().slots)

    def __len__(self) -> int:
        return len(self._attach().slots)

    def keys(self) -> tuple[str, ...]:
        """Return the names of the mix points, as needed for ``dict(capture)``."""
        return self.names

    def check(self, x: Batch) -> None:
        """Check that every point can be captured, in two forward passes without side effects.

        Raises an `InputError` for a point that cannot. At most three examples of `x` are used.
        """
        names = self._attach().slots
        probe = Probe(unwrap(self.model), names, x, self._batch_dim, measured=())
        for name in names:
            probe.require(name, "captured")

    def clear(self) -> None:
        """Delete all features, and free the memory of their graph."""
        self._attach().clear()

    def remove(self) -> None:
        """Remove the hooks from the model, and delete all features."""
        recorder = self._attach()
        self._unhook()
        recorder.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()


def _remove(handles: Iterable[RemovableHandle]) -> None:
    for handle in handles:
        handle.remove()


def activations(
    model: nn.Module,
    x: Batch,
    at: str | MixPoint | Iterable[str | MixPoint],
    *,
    batch_dim: int = 0,
) -> dict[str, Tensor]:
    """Return the activations of a batch at mix points, from one forward pass in eval mode.

    Parameters
    ----------
    model
        Any model; its mode and the random state are restored.
    x
        Batch (B, ...), a tuple of inputs for ``model(*x)``, or a mapping for ``model(**x)``.
    at
        One mix point or several: names, or rows of `points`.
    batch_dim
        Dimension of the batch in `x`, 1 for models whose batch is second.

    Returns
    -------
    dict
        A detached tensor of shape (B, ...) for the name of each point.

    Examples
    --------
    >>> import torch
    >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    >>> found = activations(model, torch.randn(5, 4), ["0", "final"])
    >>> found["0"].shape, bool((found["final"] >= 0).all())
    (torch.Size([5, 8]), True)
    """
    model, names = unwrap(as_module(model)), names_of(at)
    probe = (
        Probe(model, names, x, batch_dim, measured=()) if batch_dim or "final" in names else None
    )
    seen: dict[str, Tensor] = {}
    sites = list(probe.sites.values()) if probe else [find(model, name) for name in names]
    observe(model, sites, x, lambda name, value: seen.update({name: main_tensor(value)}))
    if missing := [name for name in names if name not in seen]:
        why = probe.obstacle(missing[0]) if probe else None
        why = why or "it was not called in a forward pass of the model"
        raise InputError(f"mix point {missing[0]!r} has no activations: {why}")
    if probe is None or not batch_dim:
        return {name: seen[name] for name in names}
    return {name: seen[name].movedim(probe.batch_dim(name), 0) for name in names}
