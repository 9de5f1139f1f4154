"""Pairs as bags of two: what torch's embedding bag takes to weigh and add rows of a matrix."""

from typing import NamedTuple

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
        return [Bags(indices, self.starts, weights) for indices, weights in both]


def bags_of(ratio: Tensor, other: Tensor, back: bool) -> Bags:
    """Return the bags of pairs, or of several such at once, whose shapes begin with their number.

    Parameters
    ----------
    ratio
        (...) or (..., B).
    other
        Of each pair the second, int64 (..., B); for the gradient the inverse of the partners.
    back
        Whether the bags are for the gradient.
    """
    if ratio.ndim < other.ndim:
        ratio = ratio.unsqueeze(-1).expand(other.shape)
    own, size = ratio.float(), other.shape[-1]
    rest = (1 - own).gather(-1, other) if back else 1 - own
    indices = torch.stack((torch.arange(size).expand_as(other), other), -1).flatten(-2)
    return Bags(indices, torch.arange(0, 2 * size, 2), torch.stack((own, rest), -1).flatten(-2))
