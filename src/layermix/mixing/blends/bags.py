"""Pairs as bags of two: what torch's embedding bag takes to weigh and add rows of a matrix."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor


class Bags(NamedTuple):
    """The pairs as an embedding bag takes them.

    Attributes
    ----------
    indices
        Both of each pair, int64 (2B,).
    starts
        Where pairs begin, int64 (B,).
    weights
        Of both, float32 (2B,).
    """

    indices: Tensor
    starts: Tensor
    weights: Tensor

    def each(self) -> list["Bags"]:
        """Return each of several."""
        both = zip(self.indices.unbind(), self.weights.unbind(), strict=True)
        return [Bags(indices, self.starts, weights).counted() for indices, weights in both]

    def counted(self) -> "Bags":
        """Return the same bags without examples of weight 0, whose values may be infinite."""
        if self.weights.all():
            return self
        counted = self.weights != 0
        starts = counted.cumsum(0)[self.starts] - counted[self.starts].long()
        return Bags(self.indices[counted], starts, self.weights[counted])


def bags_of(ratio: Tensor, other: Tensor, back: bool) -> Bags:
    """Return the bags of pairs, or of several such at once, whose shapes begin with their number.

    Examples of weight 0 are still in them; see `Bags.counted`.

    Parameters
    ----------
    ratio
        (...) or (..., B).
    other
        Of each pair the second, int64 (..., B); for the gradient the inverse of the partners.
    back
        Whether the bags are for the gradient.
    """
    own, second = ratio.float().numpy(), other.numpy()
    if own.ndim < second.ndim:
        own = own[..., None]
    rest = 1 - own
    if back and own.shape == second.shape:
        rest = np.take_along_axis(rest, second, -1)
    *several, size = second.shape
    indices = np.empty((*several, size, 2), np.int64)
    indices[..., 0], indices[..., 1] = np.arange(size), second
    weights = np.empty(indices.shape, np.float32)
    weights[..., 0], weights[..., 1] = own, rest
    flat = (*several, 2 * size)
    return Bags(
        torch.from_numpy(indices.reshape(flat)),
        torch.arange(0, 2 * size, 2),
        torch.from_numpy(weights.reshape(flat)),
    )
