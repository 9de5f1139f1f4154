"""Reliability of a measure of layers: do other examples give the layers the same order?

With B disjoint batches, the mean Spearman correlation r over pairs of batches, across layers, is
the reliability of one batch. That of the mean over B batches follows from the formula of Spearman
and Brown (1910): B r / (1 + (B - 1) r).
"""

from itertools import combinations
from typing import Any

import numpy as np
from scipy import stats

RELIABLE = 0.7
"""A measure with a lower reliability is marked, and its order of layers is not interpreted."""


def reliability(values: np.ndarray) -> float | None:
    """Return the reliability of the mean over batches of values (batches, layers).

    It is None with fewer than 2 batches or 3 layers, or if a value is not finite. Batches in which
    all layers are equal have correlation 0 with the others.
    """
    batches, layers = values.shape
    if batches < 2 or layers < 3 or not np.isfinite(values).all():
        return None
    r = float(np.mean([rank_correlation(*pair) for pair in combinations(values, 2)]))
    return batches * r / (1 + (batches - 1) * r) if r > 0 else r


def rank_correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Return Spearman's rho; 0 if all values of a row are equal."""
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return 0.0
    found: Any = stats.spearmanr(one, other)
    return float(found.statistic)
