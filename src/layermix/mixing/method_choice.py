"""Draw one of several methods for each step, or none: the step is then not mixed."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from layermix.errors import InputError, brief
from layermix.mixing.checks import is_number
from layermix.mixing.schedule import Clock, Schedule, number_at, range_of

Prob = float | Schedule | Sequence[float]
_SUM_ROUNDING = 1e-9  # tolerance for probabilities that sum to 1


class MethodChoice:
    """Draw the index of one of `count` methods for a step, or None to mix nothing.

    `prob` is the total probability of all methods, a number in [0, 1] or a schedule, shared
    equally; or a sequence with the probability of each. Raises an `InputError` for other values.
    """

    def __init__(self, count: int, prob: Prob) -> None:
        self._count, self._schedule = count, prob if isinstance(prob, Schedule) else None
        self.constant = self._schedule is None  # the probabilities do not change
        ends = [self._limits(value, Clock()) for value in range_of(prob)]
        self._fixed = ends[0] if self.constant else []
        self.always = self._fixed == [1.0]  # the first method is drawn in every step

    def draw(self, uniform: float, clock: Clock) -> int | None:
        """Return the index of the method that a number in [0, 1) selects; None for no method."""
        limits = self._now(clock)
        return next((k for k, limit in enumerate(limits) if uniform < limit), None)

    def shares(self, clock: Clock) -> list[float]:
        """Return the current probability of each method."""
        return np.diff(self._now(clock), prepend=0.0).tolist()

    def _now(self, clock: Clock) -> list[float]:
        return self._fixed if self._schedule is None else self._limits(self._schedule, clock)

    def _limits(self, prob: Any, clock: Clock) -> list[float]:
        each = prob.tolist() if isinstance(prob, np.ndarray | Tensor) else prob
        if not isinstance(each, list | tuple):
            each = [number_at(each, clock, "prob") / self._count] * self._count
        good = len(each) == self._count and all(is_number(p) and p >= 0 for p in each)
        if not good or sum(each) > 1 + _SUM_ROUNDING:
            several = f", or {self._count} numbers >= 0 with a sum of at most 1" * (self._count > 1)
            raise InputError(f"prob is {brief(prob)}, but must be a number in [0, 1]{several}")
        limits = np.cumsum(each).tolist()
        return [1.0 if limit > 1 - _SUM_ROUNDING else limit for limit in limits]
