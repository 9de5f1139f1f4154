"""Reliability of a measure of layers: do other examples give the layers the same order?

With B disjoint batches, the mean Spearman correlation r over pairs of batches, across layers, is
the reliability of one batch. That of the mean over B batches follows from the formula of Spearman
and Brown (1910): B r / (1 + (B - 1) r).
"""

import numpy as np
from scipy import stats

RELIABLE = 0.7
"""A measure with a lower reliability is marked, and its order of layers is not interpreted."""


def reliability(values: np.ndarray) -> np.ndarray | None:
    """Return the reliability of the mean over batches of values, for each run.

    Values are (runs, batches, layers), the result is (runs,). It is None with fewer than 2 batches
    or 3 layers, or if a value is not finite. Batches in which all layers are equal have correlation
    0 with the others.
    """
    _, batches, layers = values.shape
    if batches < 2 or layers < 3 or not np.isfinite(values).all():
        return None
    one, other = np.triu_indices(batches, 1)
    r = _rank_correlations(values)[:, one, other].mean(1)
    return np.where(r > 0, batches * r / (1 + (batches - 1) * r), r)


def rank_correlation(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return Spearman's rho of values, (..., layers); 0 if all values of a row are equal."""
    return _rank_correlations(np.stack([one, other], -2))[..., 0, 1]


def _rank_correlations(rows: np.ndarray) -> np.ndarray:
    """Return Spearman's rho of each pair of rows, the correlation of their ranks."""
    ranks = stats.rankdata(rows, axis=-1)
    ranks -= ranks.mean(-1, keepdims=True)
    lengths = np.linalg.norm(ranks, axis=-1, keepdims=True)
    ranks /= np.where(lengths > 0, lengths, 1)  # rows of equal values have correlation 0
    return ranks @ ranks.swapaxes(-1, -2)
