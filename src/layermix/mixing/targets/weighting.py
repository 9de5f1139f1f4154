"""Weights of labels and of losses, for each example or for each position.

If each position has a label (dense labels), the label has the weight of its position. Labels of
weight 0 do not contribute to a loss or its gradient.

Shapes: B examples, K values at each position, R rows of a mask (1 or B), `size` positions.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from layermix.errors import InputError
from layermix.mixing.tensors import has_no_zeros, times, wide

PairWeights = tuple[Tensor, Tensor] | None  # of the examples and of their partners


def ratio_of(weight: Tensor, mask: Tensor | None, labels: Tensor) -> Tensor:
    """Return the weight of each label: of its example, () or (B,), or of its position.

    The mask is the share of the example at each position, (R, *size). For labels (B, ...) of
    another size, the nearest position is used. Errors are those of `has_positions`.
    """
    if mask is None or not has_positions(labels, tuple(mask.shape[1:])):
        return weight
    dims = mask.ndim - 1
    size = tuple(labels.shape[-dims:])
    share = mask.to(weight.dtype)
    if tuple(mask.shape[1:]) != size:
        share = F.interpolate(share[:, None], size=size, mode="nearest-exact")[:, 0]
    return share.view(len(share), *[1] * (labels.ndim - mask.ndim), *size)


def has_positions(labels: Tensor, size: tuple[int, ...]) -> bool:
    """Return True if labels are given for each position of a mask of this size.

    Labels of the whole example are (B,), floats (B, K), or have one position, such as (B, 1).
    Labels of the positions of maps and videos have any resolution and are (B, *size), or
    (B, K, *size) with K values; integers (B, K) are K classes of the example. Labels of L tokens
    are floats (B, K, L), or integers (B, N) where N divides L or L divides N. Raises an
    `InputError` for other shapes, because the share of the whole example would be a wrong weight.
    """
    dims, given, floats = len(size), tuple(labels.shape[1:]), labels.is_floating_point()
    if labels.ndim <= (2 if floats or dims > 1 else 1):
        return False
    as_many = len(given) in (dims, dims + 1)
    if as_many and all(n == 1 for n in given[-dims:]):
        return False
    if dims == 1 and floats:
        as_many = labels.ndim == 3 and given[-1] == size[0]
    elif dims == 1:
        as_many = labels.ndim == 2 and 0 in (given[0] % size[0], size[0] % given[0])
    if as_many:
        return True
    where = f"{size[0]} tokens" if dims == 1 else f"{' x '.join(map(str, size))} positions"
    remedy = "pass several classes of each example as a mapping, {'a': labels[:, 0], ...}"
    if floats:
        remedy = "pass values of the whole example as labels.flatten(1)"
    raise InputError(
        f"the labels have shape {tuple(labels.shape)}, which does not fit the {where} that were "
        f"mixed: {remedy}. For labels of positions, mix at a point with these positions, or use "
        "blend='linear'"
    )


def check_no_positions(labels: Tensor, blend: object) -> None:
    """Raise an `InputError` for labels of each position, because the blend moves positions."""
    if labels.ndim > 1 + labels.is_floating_point():
        raise InputError(
            f"the labels have shape {tuple(labels.shape)}, one for each position, but the blend "
            f"{blend!r} moves the partner's positions: use 'cut', 'grid' or 'fourier'"
        )


def like(ratio: Tensor, values: Tensor) -> Tensor:
    """Reshape a ratio to broadcast over values.

    The ratio is (), (B,), or, for positions, (R, *size) or (R, 1, *size). Values of positions are
    (B, *size) or (B, K, *size). Values of examples, (B,) or (B, K), such as a Dice loss, get the
    mean of the ratio over the positions. Raises an `InputError` for other shapes.
    """
    if ratio.ndim == 0:
        return ratio
    shape = values.shape
    if ratio.ndim == len(shape) + 1 and ratio.shape[1] == 1 and _fits(ratio.shape[2:], shape[1:]):
        ratio = ratio.squeeze(1)  # a loss over the K values
    elif ratio.ndim == len(shape) - 1:
        ratio = ratio.unsqueeze(1) if ratio.ndim > 1 else ratio
    elif ratio.ndim > len(shape):
        ratio = ratio.flatten(1).mean(1)
    if ratio.ndim == 1:
        ratio = ratio.view(-1, *[1] * (len(shape) - 1))
    if len(ratio) in (1, len(values)) and _fits(ratio.shape[1:], shape[1:]):
        return ratio
    raise InputError(
        f"values of shape {tuple(shape)} cannot be weighted by a ratio of shape "
        f"{tuple(ratio.shape)}: a criterion must return one loss for each example or position of "
        "the labels"
    )


def _fits(size: tuple[int, ...], other: tuple[int, ...]) -> bool:
    """Return True if two shapes have the same number of dimensions and can be broadcast."""
    return len(size) == len(other) and all(
        n == m or 1 in (n, m) for n, m in zip(size, other, strict=True)
    )


def weighted(values: list[Tensor], weights: PairWeights) -> list[Tensor]:
    """Multiply the losses of the examples' and of the partners' labels by the sample weights."""
    if weights is None:
        return values
    both = zip(values, weights, strict=True)
    return [times(_weights_like(w, v).to(wide(v.dtype)), v.to(wide(v.dtype))) for v, w in both]


def _weights_like(weight: Tensor, values: Tensor) -> Tensor:
    if weight.ndim > values.ndim:
        raise InputError(
            f"sample_weight has one weight for each position, shape {tuple(weight.shape)}, but the "
            f"losses have shape {tuple(values.shape)}: give one for each example, "
            f"({weight.shape[0]},), or a criterion that returns one loss for each position"
        )
    return like(weight, values)


def counted(
    own: Tensor, other: Tensor, ratio: Tensor, weights: PairWeights
) -> tuple[Tensor, Tensor]:
    """Return both labels; those that are not finite and have weight 0 are replaced by finite ones.

    A criterion needs finite labels, because zero times the gradient of an infinite loss is NaN. The
    ratio is as for `like`; `weights` are the sample weights of examples and partners.
    """
    inside = weights is None and has_no_zeros(ratio) and has_no_zeros(1 - ratio)
    if inside or not own.is_floating_point():
        return own, other
    shares = [like(each, own) for each in (ratio, 1 - ratio)]
    if weights is not None:
        shares = [s * _weights_like(w, own) for s, w in zip(shares, weights, strict=True)]
    zeros = [torch.where(labels.isfinite(), labels, 0.0) for labels in (own, other)]
    first = torch.where((shares[0] != 0) | own.isfinite(), own, zeros[1])
    if other is own:
        return first, first
    return first, torch.where((shares[1] != 0) | other.isfinite(), other, zeros[0])
