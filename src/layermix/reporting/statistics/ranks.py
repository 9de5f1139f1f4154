"""Rank correlation across layers between a quantity and the gain, with a permutation test.

For each seed s, Spearman's rho (1904) is the correlation of the ranks of the quantity v_s(l) and of
the gain g_s(l) over the layers l = 1 ... L, with average ranks for ties. The mean over seeds has a
Student-t interval.

The gain of a layer is similar for all seeds, so that seeds are not independent samples here: the
sample size is the number of layers. The test (Fisher, 1935) permutes the layers. Let A and B, both
(S, L), be the ranks of quantity and gain, standardized for each seed. If the gains' layers are
permuted by pi, the same for all seeds, the mean rho is

    T(pi) = sum over l of M[l, pi(l)],    M = A^T B / S

If quantity and gain are unrelated, every pi is equally likely.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from layermix.reporting.statistics.paired import BySeed, Estimate, estimate, holm

EXACT_LAYERS = 8  # the test uses all orders up to this number of layers
RANDOM_ORDERS = 20_000  # number of random orders for more layers
_DIGITS = 9  # decimals to which mean rhos are compared, so that rounding breaks no tie


@dataclass(frozen=True)
class Rank:
    """The rank correlation, across layers, between a quantity and the gain from mixing."""

    quantity: str  # one of `QUANTITIES`, or "depth"
    expected: int  # sign of rho if mixing gains most where classes are apart; 0 for depth
    rhos: dict[Any, float]  # of each seed, or the mean rho of each study, if it is defined
    undefined: int  # seeds without a rho: a value is missing, or all values or gains are equal
    estimate: Estimate | None  # mean rho; its interval may exceed 1
    p: float | None  # two-sided
    p_holm: float | None = None  # after Holm's correction for all quantities

    @property
    def side(self) -> int:
        """1 or -1 if rho significantly has the expected or the opposite sign, otherwise 0."""
        return self.expected * self.estimate.sign(self.p) if self.estimate else 0

    @property
    def side_holm(self) -> int:
        """Like `side`, but with the p-value after Holm's correction."""
        return self.expected * self.estimate.sign(self.p_holm) if self.estimate else 0


def standard_ranks(values: ArrayLike) -> np.ndarray:
    """Return ranks along the last axis, with mean 0 and sum of squares 1; ties have average ranks.

    The inner product of two such rows is Spearman's rho. No row may have all values equal.
    """
    ranks = stats.rankdata(values, axis=-1)
    centered = ranks - ranks.mean(axis=-1, keepdims=True)
    return centered / np.linalg.norm(centered, axis=-1, keepdims=True)


def rank(quantity: str, expected: int, values: dict[str, BySeed], gains: dict[str, BySeed]) -> Rank:
    """Return the rank correlation across layers between a quantity and the gain, for each seed.

    Its values at some layers and seeds may be missing; all layers have gains of the same seeds.
    """
    planned = list(next(iter(gains.values())))
    whole = [s for s in planned if all(s in values.get(layer, {}) for layer in gains)]
    measured = {s: [values[layer][s] for layer in gains] for s in whole}
    gained = {s: [by_seed[s] for by_seed in gains.values()] for s in whole}
    seeds = [s for s in whole if min(len(set(measured[s])), len(set(gained[s]))) > 1]
    if not seeds:
        return Rank(quantity, expected, {}, len(planned), None, None)
    x, y = (np.array([rows[s] for s in seeds]) for rows in (measured, gained))  # (S, L)
    x_ranks, y_ranks = standard_ranks(x), standard_ranks(y)
    rhos = (x_ranks * y_ranks).sum(axis=1).clip(-1, 1).tolist()
    return Rank(
        quantity,
        expected,
        rhos=dict(zip(seeds, rhos, strict=True)),
        undefined=len(planned) - len(seeds),
        estimate=estimate(rhos),
        p=orders_p(x_ranks, y_ranks),
    )


def orders_p(quantity: np.ndarray, gains: np.ndarray) -> float:
    """Return the two-sided p-value of the mean rho, from standardized ranks (seeds, layers).

    It is twice the share of orders of the layers whose mean rho is at least as far out on the same
    side, at most 1. Above `EXACT_LAYERS` layers, `RANDOM_ORDERS` random orders replace all orders.
    """
    layers = np.arange(quantity.shape[1])
    products = quantity.T @ gains / len(quantity)
    found = stats.permutation_test(
        (layers,),
        lambda order, axis: products[layers, order].sum(axis=axis).round(_DIGITS),
        permutation_type="pairings",
        vectorized=True,
        n_resamples=math.factorial(len(layers)) if len(layers) <= EXACT_LAYERS else RANDOM_ORDERS,
        batch=5_000,
        rng=np.random.default_rng(0),
    )
    return float(found.pvalue)


def least_orders_p(layers: int) -> float:
    """Return the smallest p-value that the permutation test can give with so many layers."""
    return 2 / math.factorial(layers) if layers <= EXACT_LAYERS else 2 / (RANDOM_ORDERS + 1)


def corrected(ranks: Sequence[Rank]) -> list[Rank]:
    """Return copies of the ranks with Holm's correction over all their p-values."""
    adjusted = iter(holm([row.p for row in ranks if row.p is not None]))
    return [row if row.p is None else replace(row, p_holm=next(adjusted)) for row in ranks]
