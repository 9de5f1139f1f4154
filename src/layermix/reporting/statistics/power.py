"""Power of the paired Student-t test: which difference n seeds can detect, and how many it needs.

With standard deviation s of the paired differences, the t statistic of a true difference d has a
noncentral t distribution with n - 1 degrees of freedom and noncentrality sqrt(n) d / s. Differences
and deviations have the same unit.
"""

import functools
import math
from typing import Any

from scipy import optimize, stats

from layermix.reporting.statistics.paired import LEVEL

POWER = 0.8
_MOST_SEEDS = 100_000


def power(difference: float, deviation: float, n: int, level: float = LEVEL) -> float:
    """Return the probability that the two-sided test of n seeds shows a true difference.

    Examples
    --------
    >>> round(power(1.0, 1.0, 10), 3)
    0.803
    """
    if n < 2:
        return 0.0
    if deviation == 0:
        return float(difference != 0)
    shift, critical = math.sqrt(n) * difference / deviation, stats.t.isf(level / 2, n - 1)
    return float(stats.nct.sf(critical, n - 1, shift) + stats.nct.sf(critical, n - 1, -shift))


def detectable(deviation: float, n: int, level: float = LEVEL) -> float:
    """Return the smallest difference that n seeds show with probability 0.8."""
    if n < 2:
        return math.inf
    return deviation and deviation * _detectable_unit(n, level)


@functools.lru_cache(maxsize=256)
def _detectable_unit(n: int, level: float) -> float:
    """Return the detectable difference in standard deviations."""
    largest = 100.0 * stats.t.isf(level / 2, n - 1)
    unit: Any = optimize.brentq(lambda d: power(d, 1.0, n, level) - POWER, 0.0, largest)
    return float(unit)


def seeds_needed(
    difference: float, deviation: float, level: float = LEVEL, *, goal: float = POWER
) -> int | None:
    """Return the smallest number of seeds that shows a difference with probability `goal`.

    It is None above 100,000 seeds.
    """
    low, high = 1, 2  # too few, and enough
    while power(difference, deviation, high, level) < goal:
        low, high = high, 2 * high
        if high > _MOST_SEEDS:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        if power(difference, deviation, middle, level) < goal:
            low = middle
        else:
            high = middle
    return high
