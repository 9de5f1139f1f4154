"""Look once whether a mix point can be mixed: calls per forward, output type, batch dimension.

The model runs twice, silently, on three and on two of the examples (one and two of a smaller
batch), so that a first dimension which only happens to equal the batch size is told apart from
the batch. For ``"final"`` the head is looked at too: it must return as many numbers as the model.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from layermix.attach.observe import Batch, batch_size, first, observe
from layermix.attach.site import Site
from layermix.attach.structure import main_tensor
from layermix.errors import InputError

_HEAD = "output of the head"


@dataclass(frozen=True)
class _Seen:
    """What passed a site, without its values."""

    shape: tuple[int, ...]
    dtype: torch.dtype


class Probe:
    """What two silent forward passes showed about some sites of a model."""

    def __init__(self, model: nn.Module, sites: Sequence[Site], x: Batch) -> None:
        count = batch_size(x)
        sizes = [3, 2] if count >= 3 else [2, 1] if count == 2 else [1]
        self._batches = sizes
        self._looks: list[dict[str, list[_Seen | str]]] = []
        self._head = next((site.module for site in sites if site.name == "final"), None)
        self._whole: _Seen | str = ""
        extra = [Site(_HEAD, self._head, "after")] if self._head else []
        for size in sizes:
            self._look(model, [*sites, *extra], x, size)

    def _look(self, model: nn.Module, sites: Sequence[Site], x: Batch, size: int) -> None:
        """Run the model on the first `size` examples and keep what was seen."""
        seen: dict[str, list[_Seen | str]] = {site.name: [] for site in sites}
        try:
            output = observe(
                model, sites, first(x, size), lambda name, value: seen[name].append(_seen(value))
            )
        except InputError as error:
            if size == batch_size(x):
                raise
            raise InputError(
                f"{error} (mix points are probed on {size} of your {batch_size(x)} examples)"
            ) from error
        self._looks.append(seen)
        self._whole = _seen(output)

    def calls(self, name: str) -> int:
        """Return how often the site was passed in one forward."""
        return len(self._looks[0][name])

    def shape(self, name: str) -> tuple[int, ...] | None:
        """Return the shape of one example's activation at a site, if it is a single tensor."""
        calls = self._looks[0][name]
        return calls[0].shape[1:] if len(calls) == 1 and isinstance(calls[0], _Seen) else None

    def obstacle(self, name: str) -> str | None:
        """Return why the site cannot be mixed, or None when it can."""
        calls = self.calls(name)
        if calls == 0:
            return (
                "it is never called in a forward pass (0 calls), although it is part of the model"
            )
        if calls > 1:
            return f"it is called {calls} times in one forward pass, but a mix happens once"
        obstacle = self._wrong_value([look[name][0] for look in self._looks])
        if obstacle or name != "final":
            return obstacle
        return self._wrong_head()

    def require(self, name: str, done: str = "mixed") -> None:
        """Raise an `InputError` with the reason when a site cannot be mixed (or what is done)."""
        obstacle = self.obstacle(name)
        if obstacle:
            raise InputError(
                f"mix point {name!r} cannot be {done}: {obstacle}. "
                "layermix.points(model, x) lists the points that can"
            )

    def _wrong_value(self, looks: Sequence[_Seen | str]) -> str | None:
        """Return why what passed a site in each forward cannot be mixed, or None when it can."""
        for batch, seen in zip(self._batches, looks, strict=True):
            if isinstance(seen, str):
                return f"its output is of type {seen}, without a tensor to mix"
            if not seen.dtype.is_floating_point:
                return _wrong_dtype(seen.dtype)
            if seen.shape[:1] != (batch,):
                return (
                    f"its output has shape {seen.shape} for a batch of {batch}, so its first "
                    "dimension is not the batch"
                )
        return None

    def _wrong_head(self) -> str | None:
        """Return why the layer taken for the head is none, or None when it is."""
        own = self.shape(_HEAD)
        whole = self._whole.shape[1:] if isinstance(self._whole, _Seen) else None
        if own is not None and whole is not None and math.prod(own) == math.prod(whole):
            return None
        return (
            f"it was taken to be the input of {self._head}, but that layer returns {own} for each "
            f"example and the model {whole}"
        )


def _seen(value: Any) -> _Seen | str:
    try:
        tensor = main_tensor(value)
    except InputError:
        return type(value).__name__
    return _Seen(tuple(tensor.shape), tensor.dtype)


def _wrong_dtype(dtype: torch.dtype) -> str:
    if dtype.is_complex:
        return f"its values are complex ({dtype}), but mixing needs floating point"
    if dtype == torch.uint8:
        return (
            f"its values are integers ({dtype}) such as the bytes of images, which cannot be "
            "mixed: convert them with .float() first"
        )
    return (
        f"its values are integers ({dtype}) such as token ids, which cannot be mixed: mix after "
        "the embedding or a block instead"
    )
