"""Rank correlation of two quantities over layers, and over seeds of it (Spearman, 1904):

    rho_s = correlation of the ranks of v_s(l) and g_s(l) over the layers l = 1 ... L

with ties at their average rank. One rho a seed; its mean over seeds has a Student-t interval and
a sign-flip test, as all that is compared here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

from layermix.lab.answer.stats import LEVEL, Estimate, estimate, sign_flip_p

Side = Literal["expected", "other", "undecided"]
BySeed = dict[int, float]


@dataclass(frozen=True)
class Rank:
    """How a quantity orders the layers, beside how their gains do.

    Attributes
    ----------
    quantity
        One of `QUANTITIES`, or ``"depth"``.
    expected
        The sign of rho that the hypothesis expects: mix where classes are apart.
    seeds
        The seeds that have a rho.
    undefined
        How many have none: a layer without a value, or values or gains that are all equal.
    estimate
        Mean over seeds of rho, with its interval, which knows no bounds; None without a seed.
    of_means
        Rho of the layers' means over those seeds.
    p
        Two-sided p-value of the sign-flip test.
    p_holm
        The same after Holm's correction over all quantities; None for what is not one of them.
    """

    quantity: str
    expected: int
    seeds: list[int]
    undefined: int
    estimate: Estimate | None
    of_means: float | None
    p: float | None
    p_holm: float | None = None

    @property
    def rhos(self) -> BySeed:
        """Rho of each seed that has one."""
        return dict(zip(self.seeds, self.estimate.values, strict=True)) if self.estimate else {}

    def side(self, p: float | None) -> Side:
        """Return on which side of zero rho is shown to lie, by its interval and a p-value."""
        return side_of_zero(self.expected, self.estimate, p)


def side_of_zero(expected: int, found: Estimate | None, p: float | None) -> Side:
    """Return on which side of zero a mean is shown to lie: p below 0.05, interval without zero.

    Parameters
    ----------
    expected
        The sign that is expected.
    found, p
        The mean with its interval, and a p-value; None where there is none.
    """
    if found is None or found.low is None or found.high is None or p is None or p >= LEVEL:
        return "undecided"
    if found.low <= 0 <= found.high:
        return "undecided"
    return "expected" if expected * found.mean > 0 else "other"


def spearman(x: Sequence[float], y: Sequence[float]) -> float | None:
    """Return Spearman's rho, ties at their average rank; None where it is not defined.

    That is with fewer than two pairs, and where all of `x` or all of `y` are equal.
    """
    if len(set(x)) < 2 or len(set(y)) < 2:
        return None
    return float(np.corrcoef(stats.rankdata(x), stats.rankdata(y))[0, 1])


def rank(quantity: str, expected: int, values: dict[str, BySeed], gains: dict[str, BySeed]) -> Rank:
    """Return how a quantity orders the layers, seed by seed.

    Parameters
    ----------
    quantity, expected
        Its name, and the sign of rho that is expected.
    values
        Its value at each layer and seed, where there is one.
    gains
        For each layer the gain at each seed; all layers have the same seeds.
    """
    planned = list(next(iter(gains.values())))
    found: BySeed = {}
    for seed in planned:
        if all(seed in values.get(layer, {}) for layer in gains):
            rho = spearman([values[n][seed] for n in gains], [g[seed] for g in gains.values()])
            if rho is not None:
                found[seed] = rho
    if not found:
        return Rank(quantity, expected, [], len(planned), None, None, None)
    return Rank(
        quantity,
        expected,
        seeds=list(found),
        undefined=len(planned) - len(found),
        estimate=estimate(list(found.values())),
        of_means=spearman(
            [float(np.mean([values[n][s] for s in found])) for n in gains],
            [float(np.mean([g[s] for s in found])) for g in gains.values()],
        ),
        p=sign_flip_p(list(found.values())),
    )
