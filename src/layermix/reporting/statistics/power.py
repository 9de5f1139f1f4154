"""Power of paired comparisons: which difference n seeds can show, and how many it needs.

With standard deviation s of the paired differences, the t statistic of a true difference d has a
noncentral t distribution with n - 1 degrees of freedom and noncentrality sqrt(n) d / s. A verdict
also needs a small p-value of the sign-flip test, which is at least 2^(1 - n): few seeds cannot show
any difference, and up to 12 seeds the power of both tests together is simulated. Differences and
deviations have the same unit.
"""

import functools
import itertools
import math
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
from scipy import optimize, stats

from layermix.reporting.statistics.paired import LEVEL, least_p

POWER = 0.8
_MOST_SEEDS = 100_000
_SIMULATED, _SAMPLES = 12, 4000  # largest number of seeds, and simulated studies


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
    """Return the smallest difference that n seeds show with probability 0.8; infinite for none."""
    if n < 2 or least_p(n) >= level:
        return math.inf
    return deviation and deviation * _detectable_unit(n, level)


@functools.lru_cache(maxsize=256)
def _detectable_unit(n: int, level: float) -> float:
    """Return the detectable difference in standard deviations."""
    shown = _both_tests(n, level) if n <= _SIMULATED else lambda d: power(d, 1.0, n, level)
    largest = 100.0 * stats.t.isf(level / 2, n - 1)
    unit: Any = optimize.brentq(lambda d: shown(d) - POWER, 0.0, largest, xtol=1e-4)
    return float(unit)


def _both_tests(n: int, level: float) -> Callable[[float], float]:
    """Return the power of the t-test and the sign-flip test together, for differences with SD 1."""
    noise = np.random.default_rng(0).normal(size=(_SAMPLES, n))
    signs = np.array(list(product((1.0, -1.0), repeat=n - 1)))
    signs = np.concatenate([np.ones((len(signs), 1)), signs], 1)  # the others mirror these
    flipped, shifts = noise @ signs.T, signs.sum(1)
    spread = noise.std(1, ddof=1) / math.sqrt(n)
    critical = stats.t.isf(level / 2, n - 1)

    def shown(d: float) -> float:
        sums = np.abs(flipped + d * shifts)
        p = (sums >= sums[:, :1] - 1e-9).mean(1)
        return float(((p < level) & (np.abs(noise.mean(1) + d) > critical * spread)).mean())

    return shown


def seeds_needed(
    difference: float, deviation: float, level: float = LEVEL, *, goal: float = POWER
) -> int | None:
    """Return the smallest number of seeds that shows a difference with probability `goal`.

    It is that of the t-test, and no less than the sign-flip test needs. It is None above 100,000.
    """
    low = next(n for n in itertools.count(2) if least_p(n) < level) - 1  # too few
    high = low + 1
    while power(difference, deviation, high, level) < goal:
        if high == _MOST_SEEDS:
            return None
        low, high = high, min(2 * high, _MOST_SEEDS)
    while high - low > 1:
        middle = (low + high) // 2
        if power(difference, deviation, middle, level) < goal:
            low = middle
        else:
            high = middle
    return high
