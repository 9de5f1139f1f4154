"""Weights of labels and losses: those of weight 0 count neither in a loss nor in its gradient.

Shapes: B examples.
"""

import torch
from torch import Tensor

from layermix.mixing.targets.positions import like, weights_like
from layermix.mixing.targets.target import wide
from layermix.mixing.tensors import has_no_zeros, times

Weights = tuple[Tensor, Tensor] | None
"""Weights of the examples and of their partners."""


def weighted(values: list[Tensor], weights: Weights) -> list[Tensor]:
    """Return losses of both labels, each times the weight of the example that has the label."""
    if weights is None:
        return values
    both = zip(values, weights, strict=True)
    return [times(weights_like(w, v).to(wide(v.dtype)), v.to(wide(v.dtype))) for v, w in both]


def counted(own: Tensor, other: Tensor, ratio: Tensor, weights: Weights) -> tuple[Tensor, Tensor]:
    """Return both labels, where an infinite one or NaN of weight 0 is the other one, or 0.

    A criterion gets them so because zero times the gradient of an infinite loss is NaN.

    Parameters
    ----------
    own, other
        Labels of the examples and of their partners, (B, ...).
    ratio
        Weight of `own`, as for `like`.
    weights
        Further weights of both, if any.
    """
    inside = weights is None and has_no_zeros(ratio) and has_no_zeros(1 - ratio)
    if inside or not own.is_floating_point():
        return own, other
    shares = [like(each, own) for each in (ratio, 1 - ratio)]
    if weights is not None:
        shares = [s * weights_like(w, own) for s, w in zip(shares, weights, strict=True)]
    first = torch.where((shares[0] != 0) | own.isfinite(), own, _finite(other))
    if other is own:
        return first, first
    return first, torch.where((shares[1] != 0) | other.isfinite(), other, _finite(own))


def _finite(labels: Tensor) -> Tensor:
    return torch.where(labels.isfinite(), labels, 0.0)
