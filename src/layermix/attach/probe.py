"""Look once whether a mix point can be mixed: calls per forward, output type, batch dimension.

The model runs twice, silently, on three and on two of the examples (one and two of a smaller
batch), so that a first dimension which only happens to equal the batch size is told apart from
the batch. For ``"final"`` the head is looked at too: it must return as many numbers as the model.
"""

import math
from collections.abc import Sequence
from typing import Any

from torch import nn

from layermix.attach.observe import Batch, batch_size, first, main_tensor, observe
from layermix.attach.site import Site
from layermix.errors import InputError

_HEAD = "output of the head"


class Probe:
    """What two silent forward passes showed about some sites of a model."""

    def __init__(self, model: nn.Module, sites: Sequence[Site], x: Batch) -> None:
        count = batch_size(x)
        sizes = [3, 2] if count >= 3 else [2, 1] if count == 2 else [1]
        self._batches = sizes
        self._shapes: list[dict[str, list[tuple[int, ...] | str]]] = []
        self._head = next((site.module for site in sites if site.name == "final"), None)
        self._whole: tuple[int, ...] | str = ()
        extra = [Site(_HEAD, self._head, "after")] if self._head else []
        for size in sizes:
            self._look(model, [*sites, *extra], x, size)

    def _look(self, model: nn.Module, sites: Sequence[Site], x: Batch, size: int) -> None:
        """Run the model on the first `size` examples and keep the shapes that were seen."""
        seen: dict[str, list[tuple[int, ...] | str]] = {site.name: [] for site in sites}
        try:
            output = observe(
                model, sites, first(x, size), lambda name, value: seen[name].append(_shape(value))
            )
        except InputError as error:
            if size == batch_size(x):
                raise
            raise InputError(
                f"{error} (mix points are probed on {size} of your {batch_size(x)} examples)"
            ) from error
        self._shapes.append(seen)
        self._whole = _shape(output)

    def calls(self, name: str) -> int:
        """Return how often the site was passed in one forward."""
        return len(self._shapes[0][name])

    def shape(self, name: str) -> tuple[int, ...] | None:
        """Return the shape of one example's activation at a site, if it is a single tensor."""
        first = self._shapes[0][name]
        return first[0][1:] if len(first) == 1 and isinstance(first[0], tuple) else None

    def obstacle(self, name: str) -> str | None:
        """Return why the site cannot be mixed, or None when it can."""
        calls = self.calls(name)
        if calls == 0:
            return (
                "it is never called in a forward pass (0 calls), although it is part of the model"
            )
        if calls > 1:
            return f"it is called {calls} times in one forward pass, but a mix happens once"
        seen = [shapes[name][0] for shapes in self._shapes]
        if isinstance(seen[0], str):
            return f"its output is of type {seen[0]}, without a tensor to mix"
        for batch, shape in zip(self._batches, seen, strict=True):
            if not shape or shape[0] != batch:
                return (
                    f"its output has shape {shape} for a batch of {batch}, so its first dimension "
                    "is not the batch"
                )
        return self._wrong_head() if name == "final" else None

    def require(self, name: str) -> None:
        """Raise an `InputError` with the reason when a site cannot be mixed."""
        obstacle = self.obstacle(name)
        if obstacle:
            raise InputError(
                f"mix point {name!r} cannot be mixed: {obstacle}. "
                "layermix.points(model, x) lists the points that can"
            )

    def _wrong_head(self) -> str | None:
        """Return why the layer taken for the head is none, or None when it is."""
        own, whole = self.shape(_HEAD), self._whole[1:]
        if own is not None and isinstance(whole, tuple) and math.prod(own) == math.prod(whole):
            return None
        return (
            f"it was taken to be the input of {self._head}, but that layer returns {own} for each "
            f"example and the model {whole}"
        )


def _shape(value: Any) -> tuple[int, ...] | str:
    try:
        return tuple(main_tensor(value).shape)
    except InputError:
        return type(value).__name__
