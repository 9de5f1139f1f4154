"""Levels of the tests at planned looks at a growing study (Lan and DeMets, 1983).

Testing after 10 seeds, then after 20 and after 30 until a result is significant would have more
than 5% of false results. Each look therefore has a smaller level. With information time t, the
share of the planned seeds, the error probability that is spent until t follows the function that
resembles the boundaries of O'Brien and Fleming,

    spent(t) = 2 - 2 Phi(z / sqrt(t)),    Phi(z) = 1 - alpha / 2

for each side of the test, with its one-sided level alpha. The boundaries follow from it by
numerical integration (Armitage, McPherson, Rowe, 1969): the density of the Brownian motion that
has not crossed a boundary is propagated from look to look.
"""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import integrate, optimize, stats

from layermix.reporting.statistics.paired import LEVEL

_POINTS, _REACH = 2001, 9.0  # grid points, and their lowest value in standard deviations
_HIGHEST = 37.0  # the largest boundary


@dataclass(frozen=True)
class Look:
    """A look at a study: its number, and the levels of its tests.

    `level` is the two-sided level for a difference, and `equal_level` the one-sided level of each
    of the two tests for practical equality.
    """

    number: int  # 1, 2, ...
    planned: tuple[int, ...]  # seeds at each look
    level: float = LEVEL
    equal_level: float = LEVEL

    @property
    def is_last(self) -> bool:
        """True if no later look is planned."""
        return self.number == len(self.planned)


@functools.lru_cache(maxsize=64)
def look_at(seeds: int, planned: tuple[int, ...]) -> Look:
    """Return the last look that a number of finished seeds has reached.

    Before the first look, its levels are returned with number 0. Without planned looks, the whole
    study is one look with the usual levels.
    """
    if not planned:
        return Look(1, (seeds,))
    number = sum(count <= seeds for count in planned)
    times, index = [count / planned[-1] for count in planned], max(number, 1) - 1
    level = 2 * stats.norm.sf(boundaries(times, LEVEL / 2)[index])
    equal = stats.norm.sf(boundaries(times, LEVEL)[index])
    return Look(number, tuple(planned), float(level), float(equal))


def spent(time: float, alpha: float) -> float:
    """Return the one-sided error probability that is spent until an information time in (0, 1]."""
    return float(2 * stats.norm.sf(stats.norm.isf(alpha / 2) / math.sqrt(time)))


def boundaries(times: Sequence[float], alpha: float) -> list[float]:
    """Return the boundary of the z statistic at each information time, for a one-sided level.

    Times are increasing, in (0, 1].

    Examples
    --------
    >>> [round(z, 3) for z in boundaries([1 / 3, 2 / 3, 1], 0.025)]
    [3.71, 2.511, 1.993]
    """
    found: list[float] = []
    before, grid, density = 0.0, np.zeros(1), np.ones(1)
    for time in times:
        step = math.sqrt(time - before)
        to_spend = spent(time, alpha) - (spent(before, alpha) if before else 0.0)

        def excess(
            z: float, time=time, step=step, grid=grid, density=density, to_spend=to_spend
        ) -> float:
            crossing = stats.norm.sf((z * math.sqrt(time) - grid) / step)
            return _integral(density * crossing, grid) - to_spend

        z: Any = _HIGHEST  # so early that nothing is spent
        if excess(_HIGHEST) < 0:
            z = optimize.brentq(excess, -_REACH, _HIGHEST, xtol=1e-10)
        new = np.linspace(-_REACH, z, _POINTS) * math.sqrt(time)
        kernel = stats.norm.pdf((new[:, None] - grid) / step) / step
        density = _integral(kernel * density, grid)
        grid, before = new, time
        found.append(float(z))
    return found


def _integral(values: np.ndarray, grid: np.ndarray) -> Any:
    """Integrate along the last axis; a grid of one point has the whole mass there."""
    return integrate.simpson(values, x=grid) if len(grid) > 1 else values[..., 0]
