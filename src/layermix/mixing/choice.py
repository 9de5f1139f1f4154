"""Where: the mix point of a step, drawn from several by weights that may change on the way.

A draw takes one number of the stream whatever the weights are, so that changing them shifts no
other draw. A point that turns out not to be mixable is dropped, with the reason.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from layermix.errors import InputError, brief, unknown
from layermix.mixing.checks import is_number
from layermix.mixing.schedule import Clock, Schedule

Weights = Sequence[float] | np.ndarray | Tensor | Schedule | None
"""A number for each mix point, or a schedule of them; None for equal ones."""


class Choice:
    """Draws one of several mix points.

    Parameters
    ----------
    points
        Names of the mix points, each of them once.
    weights
        Relative probability of each point, or a schedule of them; equal when left out.

    Attributes
    ----------
    names
        All points, dropped ones too.
    weights
        Probability of each point that can be drawn; they add up to 1.
    log
        The weights it began with, and those of every `reweigh`.
    dropped
        Points that are no longer drawn, and why.
    """

    def __init__(self, points: Sequence[str], weights: Weights = None) -> None:
        self.names = _distinct(points)
        self._schedule = weights if isinstance(weights, Schedule) else None
        self.weights = self._named(weights, Clock())
        self.log = [self.weights]
        self.dropped: dict[str, str] = {}

    @property
    def points(self) -> tuple[str, ...]:
        """The points that can be drawn."""
        return tuple(self.weights)

    def draw(self, rng: np.random.Generator | None, clock: Clock | None = None) -> str:
        """Draw a point, by the weights that a schedule has now; from one point nothing is drawn."""
        if self._schedule and clock:
            self.weights = self._named(self._schedule, clock)
        if len(self.weights) == 1 or rng is None:
            return self.points[0]
        shares = list(self.weights.values())
        return self.points[rng.choice(len(shares), p=shares)]

    def reweigh(self, weights: Mapping[str, float]) -> None:
        """Set how likely each point is from the next draw on.

        Parameters
        ----------
        weights
            Relative probabilities by name, finite and >= 0; points that are missing get 0.

        Raises
        ------
        InputError
            For a point that is not drawn here, a weight that is none, or nothing but zeros.
        """
        if self._schedule:
            raise InputError(
                f"the weights follow {self._schedule}: build the mixer with plain weights, or none"
            )
        if not isinstance(weights, Mapping):
            raise InputError(
                f"the weights are a {type(weights).__name__}, but must be a mapping from mix "
                f"points to numbers, such as {{{self.points[0]!r}: 1.0}}"
            )
        for point, weight in weights.items():
            self._check(point, weight)
        relative = {point: float(weights.get(point, 0.0)) for point in self.weights}
        total = sum(relative.values())
        if not (total and math.isfinite(total)):
            raise InputError(
                f"the weights {dict(weights)} add up to {total}, but must add up to a finite "
                "number > 0: give at least one point a weight"
            )
        self.weights = {point: w / total for point, w in relative.items()}
        self.log = [*self.log, self.weights]

    def drop(self, reasons: Mapping[str, str]) -> None:
        """Draw some points no more, given why; what is left keeps its proportions.

        What is dropped could never be mixed, so the last entry of the log goes on without it.

        Raises
        ------
        InputError
            When no point with a weight above 0 is left.
        """
        if not reasons:
            return
        left = {point: w for point, w in self.weights.items() if point not in reasons}
        total = sum(left.values())
        if not total:
            told = "; ".join(f"{brief(point)}: {reason}" for point, reason in reasons.items())
            raise InputError(
                f"no mix point with a weight above 0 is left, for these cannot be mixed: {told}. "
                "layermix.points(model, x, all=True) lists all points of the model"
            )
        self.weights = {point: w / total for point, w in left.items()}
        self.log = [*self.log[:-1], self.weights]
        self.dropped = {**self.dropped, **reasons}

    def state_dict(self) -> dict[str, Any]:
        """Return weights, their history and what was dropped: lists and dicts (JSON)."""
        return {
            "points": list(self.names),
            "weights": dict(self.weights),
            "log": [dict(weights) for weights in self.log],
            "dropped": dict(self.dropped),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue with the weights of the choice that gave `state`.

        Raises
        ------
        InputError
            When that was a choice from other points.
        """
        if tuple(state["points"]) != self.names:
            raise InputError(
                f"this is the state of a choice from the mix points {list(state['points'])}, but "
                f"here they are {list(self.names)}: name the same points in the same order"
            )
        self.weights, self.dropped = dict(state["weights"]), dict(state["dropped"])
        self.log = [dict(weights) for weights in state["log"]]

    def _named(self, weights: Weights, clock: Clock) -> dict[str, float]:
        """Return the probability of each point."""
        now = weights.at(clock) if isinstance(weights, Schedule) else weights
        return dict(zip(self.names, _normalised(now, len(self.names)), strict=True))

    def _check(self, point: str, weight: float) -> None:
        """Refuse a weight that is none, or of no point."""
        if point in self.dropped:
            raise InputError(
                f"mix point {point!r} was dropped: {self.dropped[point]}. Leave it out of the "
                "weights"
            )
        if point not in self.weights:
            raise unknown("mix point of this mixer", point, self.points)
        if not _is_weight(weight):
            raise InputError(
                f"the weight of {brief(point)} is {brief(weight)}, but must be a finite number >= 0"
            )


def _distinct(points: Sequence[str]) -> tuple[str, ...]:
    if not points:
        raise InputError("no mix point was given: name at least one, for example 'final'")
    for point in points:
        if (count := list(points).count(point)) > 1:
            raise InputError(
                f"mix point {point!r} is given {count} times: name it once, and give weights where "
                "one point shall be drawn more often than another"
            )
    return tuple(points)


def _normalised(weights: object, count: int) -> list[float]:
    if weights is None:
        return [1 / count] * count
    given: Any = weights.tolist() if isinstance(weights, np.ndarray | Tensor) else weights
    given = list(given) if isinstance(given, Iterable) else [given]
    if not (len(given) == count and all(map(_is_weight, given)) and 0 < sum(given) < math.inf):
        raise InputError(
            f"weights are {brief(given)}, but {count} mix points need {count} numbers >= 0, "
            "not all of them 0"
        )
    return [float(w / sum(given)) for w in given]


def _is_weight(value: Any) -> bool:
    return is_number(value) and math.isfinite(value) and value >= 0
