"""Statistics of paired runs: Student-t intervals, the sign-flip test and Holm's correction.

All variants of a study share their seeds. They are compared seed by seed, so that intervals and
tests are those of paired differences.
"""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

CONFIDENCE = 0.95
LEVEL = 0.05  # a smaller p-value is significant
EXACT_SEEDS = 20  # the sign-flip test uses all sign patterns up to this number of seeds
RANDOM_FLIPS = 100_000  # number of random sign patterns for more seeds
_ROUNDING = 1e-9

BySeed = dict[int, float]
Bounds = tuple[float, float]


@dataclass(frozen=True)
class Estimate:
    """A mean and its Student-t interval, 95% if not stated; a single value has no interval."""

    mean: float
    low: float | None
    high: float | None
    n: int
    values: tuple[float, ...]  # one for each seed, or for each study

    @property
    def width(self) -> float:
        """Width of the interval; infinite for a single value."""
        return math.inf if self.low is None or self.high is None else self.high - self.low

    def clipped(self, bounds: Bounds) -> "Estimate":
        """Return the estimate with its interval clipped to the possible values."""
        if self.low is None or self.high is None:
            return self
        return replace(self, low=max(self.low, bounds[0]), high=min(self.high, bounds[1]))

    def exceeds(self, bounds: Bounds) -> bool:
        """Return True if the interval extends beyond the bounds of possible values."""
        if self.low is None or self.high is None:
            return False
        return self.low < bounds[0] - _ROUNDING or self.high > bounds[1] + _ROUNDING

    @property
    def side(self) -> int:
        """1 or -1 if the whole interval is above or below 0, otherwise 0."""
        if self.low is None or self.high is None:
            return 0
        return int(self.low > 0) - int(self.high < 0)


def estimate(values: Sequence[float], confidence: float = CONFIDENCE) -> Estimate:
    """Return the mean of one or more values with its Student-t interval, by default of 95%."""
    array = np.asarray(values, dtype=float)
    mean, n = float(array.mean()), len(array)
    if n == 1:
        return Estimate(mean, None, None, n, tuple(values))
    half = float(stats.t.ppf((1 + confidence) / 2, n - 1) * array.std(ddof=1) / math.sqrt(n))
    return Estimate(mean, mean - half, mean + half, n, tuple(values))


def sign_flip_p(differences: Sequence[float]) -> float:
    """Return the two-sided p-value of the paired sign-flip (permutation) test.

    If neither variant were better, each difference would be as likely with the other sign. p is
    the share of all 2^n sign patterns whose mean is at least as far from zero (Fisher, 1935).
    Above `EXACT_SEEDS` seeds, `RANDOM_FLIPS` random patterns and the observed one replace all
    patterns.
    """
    n, array = len(differences), np.asarray(differences, dtype=float)
    if n == 1 or not np.isfinite(array).all():
        return 1.0
    far = abs(array.sum()) - 1e-12 * np.abs(array).sum()  # rounding
    if n <= EXACT_SEEDS:
        sums = (_flipped_sums(array[: n // 2])[:, None] + _flipped_sums(array[n // 2 :])).ravel()
        return float(np.mean(np.abs(sums) >= far))
    count = int((np.abs(_random_signs(n) @ array) >= far).sum())
    return (count + 1) / (RANDOM_FLIPS + 1)


@functools.lru_cache(maxsize=2)
def _random_signs(n: int) -> np.ndarray:
    """Return random signs (patterns, n), the same for all comparisons."""
    drawn = np.frombuffer(np.random.default_rng(0).bytes(-(-RANDOM_FLIPS * n // 8)), np.uint8)
    return 2.0 * np.unpackbits(drawn)[: RANDOM_FLIPS * n].reshape(RANDOM_FLIPS, n) - 1


def _flipped_sums(values: np.ndarray) -> np.ndarray:
    sums = np.zeros(1)
    for value in values:
        sums = np.concatenate([sums - value, sums + value])
    return sums


def least_p(n: int) -> float:
    """Return the smallest p-value that the sign-flip test can give with n seeds."""
    return 2.0 ** (1 - n) if n <= EXACT_SEEDS else 1 / (RANDOM_FLIPS + 1)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return Holm's (1979) step-down adjusted p-values, in the given order."""
    adjusted, running = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(np.argsort(p_values, kind="stable")):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = running
    return adjusted
