"""What blends do with tensors: weigh them, mask them, count what is left.

Shapes: B batch; R rows, 1 for a ratio of the batch, else B; `size` the positions of an activation.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from layermix.errors import InputError
from layermix.mixing.device import precise


def positions(x: Tensor, channels: int, dims: tuple[int, ...] = (1, 2, 3)) -> tuple[int, ...]:
    """Return the sizes of an activation's positions.

    Raises
    ------
    InputError
        For an activation that has not as many dimensions of positions as `dims` allow.
    """
    size = list(x.shape[1:])
    if len(size) > 1:
        del size[channels - 1 if channels > 0 else channels]
    else:
        size = []
    if len(size) in dims:
        return tuple(size)
    allowed = " or ".join(map(str, dims))
    raise InputError(
        f"an activation of shape {tuple(x.shape)} has {len(size)} dimensions of positions beside "
        f"batch and channels, but this blend needs {allowed}: mix it with blend='linear', or at a "
        "point with maps or tokens"
    )


def masked(own: Tensor, other: Tensor, mask: Tensor, channels: int) -> Tensor:
    """Return `own` where a mask (R, *size) is one, `other` where it is zero."""
    mask = mask.unsqueeze(channels)
    if mask.dtype == torch.bool:
        return own.where(mask, other)
    return weighed(own, other, mask)


def weighed(
    own: Tensor,
    other: Tensor,
    ratio: Tensor,
    rest: Tensor | None = None,
    partial: bool | None = None,
) -> Tensor:
    """Return ``ratio * own + rest * other`` in the dtype of `own`.

    Halves are computed in float32, where a ratio close to 0 or 1 keeps its digits. Both weights are
    used, and not the difference of the activations, so that -inf mixed with itself is -inf. A value
    with weight 0 does not count, even if it is infinite or NaN.

    Parameters
    ----------
    own, other
        Floating-point tensors of the same shape and dtype.
    ratio
        Float, in a shape that multiplies them.
    rest
        Likewise; 1 - ratio when left out.
    partial
        True if no weight is 0, which saves work. None: both weights are checked where that is free.
    """
    wide = torch.promote_types(own.dtype, torch.float32)
    ratio = ratio.to(wide)
    rest = 1 - ratio if rest is None else rest.to(wide)
    first, second = own.to(wide), other.to(wide)
    if partial is None:
        partial = without_zeros(ratio) and without_zeros(rest)
    if not partial:
        first, second = _unless_zero(ratio, first), _unless_zero(rest, second)
    return (ratio * first).addcmul_(rest, second).to(own.dtype)


def weighed_by_number(own: Tensor, other: Tensor, ratio: float) -> Tensor:
    """Return ``ratio * own + (1 - ratio) * other``, in few operations."""
    if ratio in (0, 1):
        return own if ratio else other
    return torch.add(ratio * own, other, alpha=1 - ratio)


def times(weight: Tensor, values: Tensor) -> Tensor:
    """Return ``weight * values``, which is 0 where the weight is 0, even for infinite values."""
    return weight * (values if without_zeros(weight) else _unless_zero(weight, values))


def combined(weights: Tensor, values: Tensor) -> Tensor:
    """Return ``weights @ values``, in which no infinite value or NaN of weight 0 counts.

    Parameters
    ----------
    weights
        Of each value in each mix, (..., N, B).
    values
        Floating point, (..., B, d), in the dtype of the weights.
    """
    if without_zeros(weights):
        return weights @ values
    kinds = torch.stack([values == math.inf, values == -math.inf, values.isnan()])
    counted = (weights != 0).to(weights.dtype) @ kinds.to(weights.dtype) > 0  # (3, ..., N, d)
    mixed = weights @ torch.where(values.isfinite(), values, 0.0)
    for found, value in zip(counted, (math.inf, -math.inf, math.nan), strict=True):
        mixed = mixed + torch.where(found, value, 0.0)
    return mixed


def without_zeros(weight: Tensor) -> bool:
    """Return True if no weight is 0; False where checking the values is not free."""
    return readable(weight) and bool(weight.all())


def readable(weight: Tensor) -> bool:
    """Return True if the values of a tensor that is not learned can be read without waiting."""
    return type(weight) is Tensor and weight.is_cpu and not weight.requires_grad and not traced()


def traced() -> bool:
    """Return True if values cannot be read: in a compiled graph or a function transform."""
    return torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active()


def _unless_zero(weight: Tensor, values: Tensor) -> Tensor:
    """Return values with 0 in place of those that must not count because their weight is 0."""
    left_out = weight == 0
    if weight.requires_grad or torch._C._are_functorch_transforms_active():
        left_out = left_out & ~values.isfinite()  # a weight has the finite ones as its gradient
    return torch.where(left_out, 0.0, values)


def fitted(mask: Tensor, x: Tensor, channels: int) -> Tensor | None:
    """Return a mask (R, *size) for another tensor of the same examples, or None where it cannot be.

    Sequences must have as many positions as the mask; maps may have another size.
    """
    size = tuple(n for d, n in enumerate(x.shape) if d not in (0, channels % x.ndim))
    if len(size) != mask.ndim - 1:
        return None
    if size == tuple(mask.shape[1:]):
        return mask
    if len(size) < 2:
        return None
    values = mask if mask.is_floating_point() else mask.float()
    near = F.interpolate(values[:, None], size=size, mode="nearest-exact")[:, 0]
    return near.to(mask.dtype)


def kept(mask: Tensor) -> Tensor:
    """Return the share that each mask keeps, in float64: () for one mask, else (B,)."""
    flat = mask.flatten(1)
    share = flat.sum(1, dtype=precise(mask.device)) / flat.shape[1]
    return share[0] if len(share) == 1 else share


def rows(ratio: Tensor) -> Tensor:
    """Return a number of the batch as one row, (1,); one for each example as it is."""
    return ratio.reshape(-1)


def along(rows: Tensor, ndim: int) -> Tensor:
    """Return numbers (R,) in a shape that multiplies an activation of `ndim` dimensions."""
    return rows.view(-1, *[1] * (ndim - 1))
