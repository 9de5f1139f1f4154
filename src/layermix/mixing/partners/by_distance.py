"""Partners by distance, of inputs or of labels.

Local mixup (Baena, Drumetz, Gripon, 2022) mixes near neighbors, along short segments that leave
the data less. k-mixup (Greenewald et al., 2023) matches groups of k examples with other groups by
optimal transport. C-Mixup (Yao, Wang, Zhang, Zou, Finn, 2022), for regression, draws partners with
probability proportional to exp(-(y_i - y_j)^2 / (2 h^2)) from the whole training set, where an
example may draw itself, with a bandwidth h that is tuned; here they come from the others of the
batch.

Shapes: B examples; inputs are flattened to (B, d).
"""

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from layermix.errors import InputError
from layermix.mixing import checks
from layermix.mixing.partners.base import Pairing, centered, squared_distances

_LEAST = 1e-30  # bandwidth of labels that are all the same


@dataclass(frozen=True)
class Nearest(Pairing):
    """One of the k nearest others, uniformly.

    Attributes
    ----------
    k
        How many neighbors may be drawn.
    """

    needs = "inputs"
    k: int = 1

    def __post_init__(self) -> None:
        checks.whole(self, "k")

    def __call__(self, rng: np.random.Generator, size: int, values: Tensor | None) -> np.ndarray:
        """Choose a partner for each example; see `Pairing`."""
        return _ranked(rng, _others(squared_distances(values)), self.k)


@dataclass(frozen=True)
class Farthest(Pairing):
    """One of the k farthest others, uniformly.

    Attributes
    ----------
    k
        How many may be drawn.
    """

    needs = "inputs"
    k: int = 1

    def __post_init__(self) -> None:
        checks.whole(self, "k")

    def __call__(self, rng: np.random.Generator, size: int, values: Tensor | None) -> np.ndarray:
        """Choose a partner for each example; see `Pairing`."""
        return _ranked(rng, _others(-squared_distances(values)), self.k)


@dataclass(frozen=True)
class Transport(Pairing):
    """The batch in groups of k, each matched with another by optimal transport; needs scipy.

    Attributes
    ----------
    k
        Examples of a group: 1 is a permutation, larger ones find nearer partners.
    """

    needs = "inputs"
    permutation = True
    k: int = 16

    def __post_init__(self) -> None:
        checks.whole(self, "k")

    def __call__(self, rng: np.random.Generator, size: int, values: Tensor | None) -> np.ndarray:
        """Choose a partner for each example; see `Pairing`."""
        try:
            from scipy.optimize import linear_sum_assignment
        except ImportError as error:
            raise InputError("partners by transport need scipy: pip install scipy") from error
        cost = squared_distances(values)
        one, other = rng.permutation(size), rng.permutation(size)
        partner = np.empty(size, dtype=np.int64)
        for start in range(0, size, self.k):
            group, match = one[start : start + self.k], other[start : start + self.k]
            partner[group] = match[linear_sum_assignment(cost[np.ix_(group, match)])[1]]
        return partner


@dataclass(frozen=True)
class LabelKernel(Pairing):
    """An example whose label is near, by a Gaussian kernel: C-Mixup, for regression.

    Attributes
    ----------
    bandwidth
        h in units of the labels; the batch's standard deviation of them when left out.
    """

    needs = "labels"
    bandwidth: float | None = None

    def __post_init__(self) -> None:
        if self.bandwidth is not None:
            checks.positive(self, "bandwidth", ", or None for the batch's standard deviation")

    def __call__(self, rng: np.random.Generator, size: int, values: Tensor | None) -> np.ndarray:
        """Choose a partner for each example; see `Pairing`."""
        assert values is not None
        labels = centered(values)
        distances = _others(squared_distances(labels))
        h = float(labels.std(correction=0)) if self.bandwidth is None else self.bandwidth
        exponents = -distances / (2 * max(h, _LEAST) ** 2)
        # The largest of (log weight + Gumbel noise) falls on each with its probability.
        return (exponents + rng.gumbel(size=exponents.shape)).argmax(1)


def _others(distances: np.ndarray) -> np.ndarray:
    """Return distances in which an example is as far from itself as can be, unless it is alone."""
    if len(distances) > 1:
        np.fill_diagonal(distances, np.inf)
    return distances


def _ranked(rng: np.random.Generator, distances: np.ndarray, k: int) -> np.ndarray:
    """Return for each row one of the k least columns, uniformly."""
    size = len(distances)
    k = min(k, max(size - 1, 1))
    least = distances.argsort(1, kind="stable")[:, :k]
    return least[np.arange(size), rng.integers(k, size=size)]
