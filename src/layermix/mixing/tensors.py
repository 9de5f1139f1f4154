"""Weighted sums in which values of weight 0 may be infinite, and functions to move tensors.

A hook must not wait for a GPU, so values are read only if they are already on the CPU.
"""

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import accumulate

import torch
from torch import Tensor

_ALIGNED = 64  # bytes
_NO_CONTEXT = nullcontext()


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


def moved(tensors: Sequence[Tensor], device: torch.device | str) -> list[Tensor]:
    """Move tensors to a device, those of the CPU in one transfer.

    Float64 becomes float32 on a device without float64.
    """
    exact = float64_on(device)
    tensors = [t.to(exact) if t.dtype == torch.float64 else t for t in tensors]
    if torch.device(device).type == "cpu" or not all(map(_is_packable, tensors)):
        return [tensor.to(device) for tensor in tensors]
    starts = [*accumulate((-(-t.nbytes // _ALIGNED) * _ALIGNED for t in tensors), initial=0)]
    packed = torch.empty(starts[-1], dtype=torch.uint8)
    for tensor, start in zip(tensors, starts, strict=False):
        part = packed[start : start + tensor.nbytes].numpy()
        part[:] = tensor.contiguous().reshape(-1).numpy().view("uint8")
    if torch.device(device).type == "cuda":
        packed = packed.pin_memory()  # a copy of other memory waits for the GPU
    storage = packed.to(device, non_blocking=True).untyped_storage()
    places = zip(tensors, starts, strict=False)
    return [_placed(tensor, storage, start, device) for tensor, start in places]


def _is_packable(tensor: Tensor) -> bool:
    """Return True for values that NumPy can copy."""
    return tensor.is_cpu and not tensor.requires_grad and tensor.dtype != torch.bfloat16


def _placed(
    tensor: Tensor, storage: torch.UntypedStorage, start: int, device: torch.device | str
) -> Tensor:
    """Return a tensor like `tensor` in a storage; not a view, which compilers would replay."""
    found = torch.empty(0, dtype=tensor.dtype, device=device)
    strides = torch.empty(tensor.shape, device="meta").stride()
    return found.set_(storage, start // tensor.itemsize, tensor.shape, strides)  # pyright: ignore[reportArgumentType, reportCallIssue]


def without_autocast(x: Tensor) -> AbstractContextManager:
    """Return a context manager that disables autocast on the device of `x`.

    Autocast would round the weights of matrix products, but not the label weights.
    """
    kind = x.device.type
    if kind == "meta" or not torch.is_autocast_enabled(kind):
        return _NO_CONTEXT
    return torch.autocast(kind, enabled=False)
