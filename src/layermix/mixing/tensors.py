"""Weighted sums in which values of weight 0 may be infinite, and functions to move tensors.

A hook must not wait for a GPU, so values are read only if they are already on the CPU.
"""

import math

import torch
from torch import Tensor


def weighted_sum(
    x1: Tensor, x2: Tensor, ratio: Tensor, rest: Tensor | None = None, interior: bool | None = None
) -> Tensor:
    """Return ``ratio * x1 + rest * x2``, in the dtype of `x1`; `rest` is 1 - ratio if omitted.

    Half precision is computed in float32. The sum has two products, and not one with the difference
    of the values, so that -inf mixed with itself is -inf. `interior` is True if no weight is 0,
    which saves work. If it is None, weights that can be read without waiting are checked.
    """
    wide = torch.promote_types(x1.dtype, torch.float32)
    ratio = ratio.to(wide)
    rest = 1 - ratio if rest is None else rest.to(wide)
    first, second = x1.to(wide), x2.to(wide)
    if interior is None:
        interior = has_no_zeros(ratio) and has_no_zeros(rest)
    if not interior:
        first, second = _masked_by(ratio, first), _masked_by(rest, second)
    return (ratio * first).addcmul_(rest, second).to(x1.dtype)


def times(weight: Tensor, values: Tensor) -> Tensor:
    """Return ``weight * values``, which is 0 where the weight is 0, even for infinite values."""
    return weight * (values if has_no_zeros(weight) else _masked_by(weight, values))


def combined(weights: Tensor, values: Tensor) -> Tensor:
    """Return ``weights @ values`` for weights (..., N, B) and values (..., B, d) of one dtype."""
    if has_no_zeros(weights):
        return weights @ values
    kinds = torch.stack([values == math.inf, values == -math.inf, values.isnan()])
    counted = (weights != 0).to(weights.dtype) @ kinds.to(weights.dtype) > 0  # (3, ..., N, d)
    mixed = weights @ torch.where(values.isfinite(), values, 0.0)
    for found, value in zip(counted, (math.inf, -math.inf, math.nan), strict=True):
        mixed = mixed + torch.where(found, value, 0.0)
    return mixed


def has_no_zeros(weight: Tensor) -> bool:
    """Return True if no weight is 0, and False also if the weights are not readable."""
    return is_readable(weight) and bool(weight.all())


def is_readable(weight: Tensor) -> bool:
    """Return True if code may read the values of a tensor: on the CPU, no gradient, not traced."""
    return type(weight) is Tensor and weight.is_cpu and not weight.requires_grad and not is_traced()


def is_traced() -> bool:
    """Return True in a compiled graph or a function transform, where values cannot be read."""
    return torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active()


def _masked_by(weight: Tensor, values: Tensor) -> Tensor:
    left_out = weight == 0
    if weight.requires_grad or torch._C._are_functorch_transforms_active():
        left_out = left_out & ~values.isfinite()  # the gradient of a weight is its finite value
    return torch.where(left_out, 0.0, values)


def take(x: Tensor, index: Tensor) -> Tensor:
    """Return the rows of `x` at the indices, int64 (N,), which may be on another device."""
    return x[index] if x.device != index.device else x.index_select(0, index)


def wide(dtype: torch.dtype) -> torch.dtype:
    """Return the dtype of computations: float64 for float64, float32 for all others."""
    return torch.promote_types(dtype, torch.float32)


def along(rows: Tensor, ndim: int) -> Tensor:
    """Reshape one number () or one per row (R,) to broadcast over a tensor of `ndim` dimensions."""
    return rows.view(-1, *[1] * (ndim - 1)) if rows.ndim else rows


def float64_on(device: torch.device | str) -> torch.dtype:
    """Return float64 for exact ratios, or float32 on a device without float64."""
    return torch.float32 if torch.device(device).type == "mps" else torch.float64


def moved(tensor: Tensor, device: torch.device | str) -> Tensor:
    """Move a tensor to a device; float64 becomes float32 on a device without float64."""
    if tensor.dtype == torch.float64:
        tensor = tensor.to(float64_on(device))
    if tensor.device.type == "cpu" and torch.device(device).type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)  # a plain copy waits for the GPU
    return tensor.to(device)
