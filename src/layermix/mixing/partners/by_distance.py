"""Partners by the distance of inputs or labels; inputs of B examples are flattened to (B, d).

Local mixup (Baena, Drumetz, Gripon, 2022) mixes near neighbors. k-mixup (Greenewald et al., 2023)
matches groups of k examples by optimal transport. C-Mixup (Yao, Wang, Zhang, Zou, Finn, 2022), for
regression, draws partners with probability proportional to exp(-(y_i - y_j)^2 / (2 h^2)). The paper
draws partners from the training set, including the example itself, with a tuned h; here they are
other examples of the batch.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from layermix.errors import InputError
from layermix.mixing import checks
from layermix.mixing.partners.pairing import Pairing

_LEAST_BANDWIDTH = 1e-30  # bandwidth of labels that are all the same


@dataclass(frozen=True)
class Nearest(Pairing):
    """Choose one of the k nearest other examples, uniformly.

    Attributes
    ----------
    k
        Number of neighbors to choose from.
    """

    needs = "inputs"
    _sign: ClassVar[int] = 1  # factor of the distances; the smallest are chosen

    k: int = 1

    def __post_init__(self) -> None:
        checks.whole(self, "k")

    def __call__(self, rng: np.random.Generator, size: int, values: Tensor | None) -> np.ndarray:
        """Choose a partner for each example; see `Pairing`."""
        distances = _others(self._sign * _squared_distances(values))
        k = min(self.k, max(size - 1, 1))
        least = distances.argsort(1, kind="stable")[:, :k]
        return least[np.arange(size), rng.integers(k, size=size)]


@dataclass(frozen=True)
class Farthest(Nearest):
    """Choose one of the k farthest other examples, uniformly; for `k` see `Nearest`."""

    _sign = -1


@dataclass(frozen=True)
class Transport(Pairing):
    """Match random groups of k examples by optimal transport; needs scipy.

    Attributes
    ----------
    k
        Group size: 1 gives a random permutation, larger groups give nearer partners.
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
        cost = _squared_distances(values)
        one, other = rng.permutation(size), rng.permutation(size)
        partner = np.empty(size, dtype=np.int64)
        for start in range(0, size, self.k):
            group, match = one[start : start + self.k], other[start : start + self.k]
            partner[group] = match[linear_sum_assignment(cost[np.ix_(group, match)])[1]]
        return partner


@dataclass(frozen=True)
class LabelKernel(Pairing):
    """Choose an example with a similar label, by a Gaussian kernel (C-Mixup), for regression.

    Attributes
    ----------
    bandwidth
        h in units of the labels; None for their standard deviation in the batch.
    """

    needs = "labels"
    bandwidth: float | None = None

    def __post_init__(self) -> None:
        if self.bandwidth is not None:
            checks.positive(self, "bandwidth", ", or None for the batch's standard deviation")

    def __call__(self, rng: np.random.Generator, size: int, values: Tensor | None) -> np.ndarray:
        """Choose a partner for each example; see `Pairing`."""
        assert values is not None
        labels = _centered(values)
        distances = _others(_squared_distances(labels))
        h = float(labels.std(correction=0)) if self.bandwidth is None else self.bandwidth
        exponents = -distances / (2 * max(h, _LEAST_BANDWIDTH) ** 2)
        # Gumbel-max trick: argmax of log weight + Gumbel noise samples in proportion to the weights
        return (exponents + rng.gumbel(size=exponents.shape)).argmax(1)


def _others(distances: np.ndarray) -> np.ndarray:
    """Set the distance of each example to itself to infinity, except in a batch of one example."""
    if len(distances) > 1:
        np.fill_diagonal(distances, np.inf)
    return distances


def _squared_distances(values: Tensor | None) -> np.ndarray:
    """Return squared Euclidean distances, float64 (B, B); raise an `InputError` for integers."""
    assert values is not None
    if not values.is_floating_point():
        raise InputError(
            f"partners by distance need floating point, but the values are {values.dtype} of shape "
            f"{tuple(values.shape)}: pass inputs=..., such as embeddings, to draw()"
        )
    flat = _centered(values)
    # Direct differences: the matrix product form is inexact for near pairs if others are far.
    direct = torch.cdist(flat, flat, compute_mode="donot_use_mm_for_euclid_dist")
    return direct.square().cpu().numpy()


def _centered(values: Tensor) -> Tensor:
    """Return values minus their mean, float64 (B, d), because float32 is coarse far from zero."""
    flat = values.detach().reshape(len(values), -1)
    flat = (flat.cpu() if flat.device.type == "mps" else flat).double()  # mps has no float64
    return flat - flat.mean(0)
