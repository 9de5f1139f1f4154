"""Could chance alone order the layers so? An exact permutation test (Fisher, 1935) over layers.

What a layer gains repeats from seed to seed, so that seeds are no repetitions of this question: two
unrelated orders of a few layers agree or disagree alike at every seed. What counts is the number
L of layers. With A and B, both (S, L), the ranks of a quantity and of the gains standardised seed
by seed, the mean over S seeds of Spearman's rho after the gains' layers changed places by pi is

    T(pi) = sum over l of M[l, pi(l)],    M = A^T B / S

the same pi at every seed. Were quantity and gain unrelated, every pi would be equally likely.
"""

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

EXACT_LAYERS = 8  # up to which the test takes every order
RANDOM_ORDERS = 20_000  # orders drawn at random above that
_DIGITS = 9  # to which mean rhos are compared, so that rounding breaks no tie


def standard_ranks(values: ArrayLike) -> np.ndarray:
    """Return ranks along the last axis, ties at their average, with mean 0 and sum of squares 1.

    The sum of products of two such rows is Spearman's rho. No row may have all values equal.
    """
    ranks = stats.rankdata(values, axis=-1)
    centerd = ranks - ranks.mean(axis=-1, keepdims=True)
    return centerd / np.linalg.norm(centerd, axis=-1, keepdims=True)


def orders_p(quantity: np.ndarray, gains: np.ndarray) -> float:
    """Return the two-sided p-value of the mean rho, under permutations of the gains' layers.

    It is twice the share of orders with a mean rho at least as far on its side, at most 1: the
    exact test. Above `EXACT_LAYERS` layers, `RANDOM_ORDERS` random orders stand in for all.

    Parameters
    ----------
    quantity, gains
        Standardised ranks, both of shape (seeds, layers).
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
    """Return the least p-value that the test can give with so many layers."""
    return 2 / math.factorial(layers) if layers <= EXACT_LAYERS else 2 / (RANDOM_ORDERS + 1)
