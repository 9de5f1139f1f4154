"""Draw the mix point of a step, with probabilities that may change during training."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from layermix.errors import InputError, brief, unknown
from layermix.mixing.checks import is_finite
from layermix.mixing.schedule import Clock, Schedule

# A number for each mix point, or a schedule of them; None for equal weights.
Weights = Sequence[float] | np.ndarray | Tensor | Schedule | None


class PointSampler:
    """Draw one of several mix points, with given relative probabilities.

    Raises an `InputError` if no point is given, a point is repeated, or the weights do not fit.
    """

    def __init__(self, points: Sequence[str], weights: Weights = None) -> None:
        self.names = _distinct(points)  # including dropped points
        self.only = self.names[0] if len(self.names) == 1 else None
        self._schedule = weights if isinstance(weights, Schedule) else None
        self.weights = self._at(Clock(), weights)  # without dropped points; sum to 1
        self.history = [self.weights]  # the initial weights, and the weights of each `reweigh`
        self.dropped: dict[str, str] = {}  # the reason for each point

    def draw(self, uniform: float, clock: Clock) -> str:
        """Return the point that a number in [0, 1) selects with the current weights."""
        if self._schedule:
            self.weights = _without(self._at(clock, self._schedule), self.dropped)
        total = 0.0
        for point, weight in self.weights.items():
            total += weight
            if uniform < total:
                return point
        return [point for point, weight in self.weights.items() if weight][-1]  # rounding

    def reweigh(self, weights: Mapping[str, float]) -> None:
        """Set the relative probabilities of the points, finite and >= 0; missing points get 0.

        Raises an `InputError` for an unknown point, an invalid weight, or weights that are all 0.
        """
        if self._schedule:
            raise InputError(
                f"the weights follow {self._schedule}: build the mixer with fixed weights, or none"
            )
        if not isinstance(weights, Mapping):
            raise InputError(
                f"the weights are a {type(weights).__name__}, but must be a mapping from mix "
                f"points to numbers, such as {{{next(iter(self.weights))!r}: 1.0}}"
            )
        for point, weight in weights.items():
            self._check(point, weight)
        relative = {point: float(weights.get(point, 0.0)) for point in self.weights}
        total = sum(relative.values())
        if not (total and math.isfinite(total)):
            raise InputError(
                f"the weights {dict(weights)} sum to {total}, but must sum to a finite number > 0: "
                "give at least one point a weight"
            )
        self.weights = {point: w / total for point, w in relative.items()}
        self.history = [*self.history, self.weights]

    def _check(self, point: str, weight: float) -> None:
        if point in self.dropped:
            raise InputError(
                f"mix point {point!r} was dropped: {self.dropped[point]}. Leave it out of the "
                "weights"
            )
        if point not in self.weights:
            raise unknown("mix point of this mixer", point, self.weights)
        if not is_finite(weight, 0):
            raise InputError(
                f"the weight of {brief(point)} is {brief(weight)}, but must be a finite number >= 0"
            )

    def drop(self, reasons: Mapping[str, str]) -> None:
        """Stop drawing the points in `reasons`; rescale the other weights to a sum of 1.

        Dropped points cannot be mixed, so they are also removed from the last entry of the history.
        Raises an `InputError` if no point with a weight above 0 remains.
        """
        if not reasons:
            return
        self.weights = _without(self.weights, reasons)
        self.history = [*self.history[:-1], self.weights]
        self.dropped = {**self.dropped, **reasons}

    def state_dict(self) -> dict[str, Any]:
        """Return names, weights, history and dropped points, as JSON types."""
        return {
            "points": list(self.names),
            "weights": dict(self.weights),
            "history": [dict(weights) for weights in self.history],
            "dropped": dict(self.dropped),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Load a state; raise an `InputError` if it has other points."""
        if tuple(state["points"]) != self.names:
            raise InputError(
                f"the state has the mix points {list(state['points'])}, but this mixer has "
                f"{list(self.names)}: give the same points in the same order"
            )
        self.weights, self.dropped = dict(state["weights"]), dict(state["dropped"])
        self.history = [dict(weights) for weights in state["history"]]

    def _at(self, clock: Clock, weights: Weights) -> dict[str, float]:
        now = weights.at(clock) if isinstance(weights, Schedule) else weights
        return dict(zip(self.names, _normalized(now, len(self.names)), strict=True))


def _without(weights: dict[str, float], reasons: Mapping[str, str]) -> dict[str, float]:
    """Remove the points in `reasons`, and return the other probabilities, scaled to sum 1."""
    if not reasons:
        return weights
    rest = {point: w for point, w in weights.items() if point not in reasons}
    total = sum(rest.values())
    if not total:
        text = "; ".join(f"{brief(point)}: {reason}" for point, reason in reasons.items())
        raise InputError(
            f"no mix point with a weight above 0 is left, because these cannot be mixed: {text}. "
            "layermix.points(model, x, all=True) lists all points of the model"
        )
    return {point: w / total for point, w in rest.items()}


def _distinct(points: Sequence[str]) -> tuple[str, ...]:
    if not points:
        raise InputError("no mix point was given: name at least one, for example 'final'")
    for point in points:
        if (count := list(points).count(point)) > 1:
            raise InputError(
                f"mix point {point!r} is given {count} times: name it once, and use weights to "
                "draw one point more often than another"
            )
    return tuple(points)


def _normalized(weights: object, count: int) -> list[float]:
    if weights is None:
        return [1 / count] * count
    given: Any = weights.tolist() if isinstance(weights, np.ndarray | Tensor) else weights
    given = list(given) if isinstance(given, Iterable) else [given]
    good = len(given) == count and all(is_finite(weight, 0) for weight in given)
    if not (good and 0 < sum(given) < math.inf):
        raise InputError(
            f"weights are {brief(given)}, but {count} mix points need {count} numbers >= 0, "
            "not all of them 0"
        )
    return [float(w / sum(given)) for w in given]
