"""Rotate the examples of a batch, and compare tensors with the rotated ones."""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from layermix.hooks.nested import Dims, Path

# Shares below which a difference is rounding, by dtype.
_ROUNDING = {torch.float64: 1e-9, torch.float32: 1e-4, torch.float16: 2e-2, torch.bfloat16: 5e-2}
_OTHER_ROUNDING = 0.1
_SLICED = (torch.float32, torch.float64)  # half precision is too coarse for single features
_EPSILONS = 16  # differences up to this many machine epsilons of a value are rounding
_LARGE = 1e30  # replaces a difference to infinity


def rotation(turns: int, count: int, device: torch.device | str = "cpu") -> Tensor:
    """Return each example's partner index, int64 (count,), in a rotation by `turns` positions."""
    return (torch.arange(count, device=device) + turns) % count


def distances(
    clean: Mapping[Path, Tensor],
    now: Mapping[Path, Tensor],
    dims: Dims,
    turns: int,
    count: int,
    *,
    thorough: bool = False,  # compare each feature on its own scale, and any dtype
) -> Iterator[tuple[Path, float]]:
    """Yield path and distance of each tensor in `now` that differs from the rotated `clean` one."""
    for path, own in clean.items():
        dim = dims.get(path)
        if dim is None or own.is_nested or not (thorough or own.is_floating_point()):
            continue
        got = now.get(path)
        if got is None or got.shape != own.shape:
            yield path, 1.0
            continue
        got, own = _comparable(got), _comparable(own)
        want, other = (rotated(own, dim, k, count) for k in (turns, 1))
        rows = (t.movedim(dim, 0) for t in (got, own, want, other))
        share = share_of(*rows, features=thorough and own.dtype in _SLICED)
        if share > _ROUNDING.get(own.dtype, _OTHER_ROUNDING):
            yield path, min(share, 1.0)


def _comparable(tensor: Tensor) -> Tensor:
    dense = tensor if tensor.layout == torch.strided else tensor.to_dense()
    if dense.is_complex():
        return torch.view_as_real(dense.resolve_conj())
    return dense if dense.is_floating_point() else dense.double()


def rotated(tensor: Tensor, dim: int, turns: int, count: int) -> Tensor:
    """Return a tensor with its examples rotated; several rows of one example stay together."""
    rows = tensor.movedim(dim, 0).unflatten(0, (count, -1))
    index = rotation(turns, count, tensor.device)
    return rows.index_select(0, index).flatten(0, 1).movedim(0, dim)


def share_of(
    got: Tensor, own: Tensor, want: Tensor, other: Tensor, features: bool = False
) -> float:
    """Return the error of `got` against `want`, relative to the difference of two examples.

    It is |got - want| / |own - other|, or 0 if `got` differs from `want` by rounding only.
    """
    wide = torch.promote_types(own.dtype, torch.float32)
    got, own, want, other = (t.detach().to(wide) for t in (got, own, want, other))
    error, scale, size = (got - want).abs(), (own - other).abs(), want.abs()
    if not (error.isfinite().all() and scale.isfinite().all()):
        # Infinities and NaN at the same positions are equal.
        same = (got == want) | (got.isnan() & want.isnan())
        error = torch.where(same, 0.0, error.nan_to_num(_LARGE, _LARGE))
        scale = torch.where(own == other, 0.0, scale).nan_to_num(0.0, 0.0)
        size = size.nan_to_num(0.0, 0.0)
    share = _ratio(error.norm(), scale.norm(), size.norm())
    if features and own.ndim > 1 and own.numel():  # the largest share of any feature
        others = [k for k in range(own.ndim) if k != 1]
        norms = (torch.linalg.vector_norm(t, dim=others) for t in (error, scale, size))
        share = torch.maximum(share, _ratio(*norms).max())
    return float(share)


def _ratio(error: Tensor, scale: Tensor, size: Tensor) -> Tensor:
    """Return ``error / scale``, or 0 if `error` is a rounding error of numbers of size `size`."""
    rounding = error <= _EPSILONS * torch.finfo(error.dtype).eps * size
    return torch.where(rounding, 0.0, torch.where(scale > 0, error / scale, 1.0))
