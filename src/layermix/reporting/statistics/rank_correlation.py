"""Rank correlation of two quantities over layers, and over seeds of it (Spearman, 1904):

    rho_s = correlation of the ranks of v_s(l) and g_s(l) over the layers l = 1 ... L

with ties at their average rank. One rho a seed; its mean has a Student-t interval over seeds, and
a p-value over the orders of the layers (`layermix.reporting.statistics.layer_permutation`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from layermix.reporting.statistics.layer_permutation import orders_p, standard_ranks
from layermix.reporting.statistics.stats import LEVEL, Estimate, estimate

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
        The sign of rho that the hypothesis expects: mix where classes are apart; 0 for depth.
    seeds
        The seeds that have a rho.
    undefined
        How many have none: a layer without a value, or values or gains that are all equal.
    estimate
        Mean over seeds of rho, with its interval, which knows no bounds; None without a seed.
    of_means
        Rho of the layers' means over those seeds.
    p
        Two-sided p-value of their mean, over the orders of the layers.
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
    return float(np.clip(standard_ranks(x) @ standard_ranks(y), -1, 1))


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
    whole = [s for s in planned if all(s in values.get(layer, {}) for layer in gains)]
    measured = {s: [values[layer][s] for layer in gains] for s in whole}
    gained = {s: [by_seed[s] for by_seed in gains.values()] for s in whole}
    seeds = [s for s in whole if min(len(set(measured[s])), len(set(gained[s]))) > 1]
    if not seeds:
        return Rank(quantity, expected, [], len(planned), None, None, None)
    x, y = (np.array([rows[s] for s in seeds]) for rows in (measured, gained))  # (S, L)
    x_ranks, y_ranks = standard_ranks(x), standard_ranks(y)
    rhos = (x_ranks * y_ranks).sum(axis=1).clip(-1, 1)
    return Rank(
        quantity,
        expected,
        seeds,
        undefined=len(planned) - len(seeds),
        estimate=estimate(rhos.tolist()),
        of_means=spearman(x.mean(axis=0).tolist(), y.mean(axis=0).tolist()),
        p=orders_p(x_ranks, y_ranks),
    )
