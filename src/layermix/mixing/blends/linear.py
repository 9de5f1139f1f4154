"""Linear: ``lam * x + (1 - lam) * x[partner]``, for activations of any shape, in one pass.

mixup (Zhang, Cisse, Dauphin, Lopez-Paz, 2018) at the input, Manifold Mixup (Verma et al., 2019) in
hidden layers. The mix is a product with a sparse matrix that has two nonzeros per row. It reads
each row of N bytes twice and writes it once; separate torch operations move 9 N bytes. If the
partners are a permutation, the transposed matrix has two nonzeros per row too, and the gradient
needs no scatter: ``grad[j] = lam[j] g[j] + (1 - lam[i]) g[i]`` with ``i = inverse[j]``.

The product is torch's weighted embedding bag on the CPU, and a Triton kernel on a GPU: one
operation forward and one backward. Small tensors on the CPU, other dtypes and layouts, compiled
graphs and function transforms use torch's operations, with the same gradient. Shapes: B examples;
x (B, ...).
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd import forward_ad

from layermix.errors import warn
from layermix.mixing.blends.base import Blended, Draws, RatioBlend
from layermix.mixing.pairs import Pairs
from layermix.mixing.tensors import along, is_traced, take, times, weighted_sum, wide

_SMALL = 1 << 14  # elements
_BAG_DTYPES = (torch.float32, torch.float64)
_KERNEL_DTYPES = (torch.float32, torch.float16, torch.bfloat16)
_PLAIN = (Tensor, torch.nn.Parameter)  # a subclass may store its data elsewhere


@dataclass(frozen=True)
class Linear(RatioBlend):
    """Linear interpolation of two examples, as in mixup and Manifold Mixup."""

    def __call__(
        self, own: Tensor, other: Tensor, ratio: Tensor, draws: Draws, channels: int
    ) -> Blended:
        """Mix activations of any shape; see `Blend`."""
        return Blended(interpolate(own, other, ratio), ratio)

    def mix_batch(self, x: Tensor, pairs: Pairs, draws: Draws, channels: int) -> Blended:
        """Mix a batch in one pass; see `Blend`."""
        if is_small(x) and pairs.interior and x.dtype == pairs.ratio.dtype and not pairs.per_sample:
            other = x.index_select(0, pairs.partner)
            mixed = (pairs.ratio * x).add_(other, alpha=1 - float(pairs.ratio))
            return Blended(mixed, pairs.ratio)
        return Blended(pair_mix(x, pairs), pairs.view)


def is_small(x: Tensor) -> bool:
    """Return True on the CPU for so few elements that calls of Python cost more than operations."""
    return x.is_cpu and x.numel() <= _SMALL and not torch.compiler.is_compiling()


def interpolate(x1: Tensor, x2: Tensor, ratio: Tensor) -> Tensor:
    """Return ``ratio * x1 + (1 - ratio) * x2`` in the dtype and memory format of `x1`.

    Both are floating-point tensors (B, ...) of the same shape; the ratio is () or (B,).
    """
    return weighted_sum(x1, x2, along(ratio, x1.ndim))


def pair_mix(x: Tensor, pairs: Pairs) -> Tensor:
    """Return each example mixed with its partner, in the dtype and memory format of the batch."""
    if not _is_fused(x, pairs):
        return _by_operations(x, pairs)
    if x.requires_grad and torch.is_grad_enabled():
        return _PairMix.apply(x, pairs)  # pyright: ignore[reportReturnType]
    return _in_one_pass(x, pairs)


def _by_operations(x: Tensor, pairs: Pairs) -> Tensor:
    rows = pairs.rows if pairs.rows.device == x.device else pairs.ratio
    ratio, other = along(rows, x.ndim), take(x, pairs.partner)
    interior = pairs.interior and not torch.compiler.is_compiling()
    if interior and x.dtype == rows.dtype:
        return (ratio * x).addcmul_(1 - ratio, other)
    return weighted_sum(x, other, ratio, interior=interior)


def _is_fused(x: Tensor, pairs: Pairs) -> bool:
    """Return True if the mix can be computed by one operation."""
    # Compiled graphs use torch's operations: torch 2.11 computes wrong gradients of custom autograd
    # functions there.
    if is_traced() or pairs.rows.requires_grad or _has_tangent(x):
        return False
    if type(x) not in _PLAIN or not x.numel() or x.device != pairs.rows.device:
        return False
    if x.is_cpu:
        return x.numel() > _SMALL and x.dtype in _BAG_DTYPES
    return x.is_cuda and x.dtype in _KERNEL_DTYPES and _gpu_kernel() is not None


def _in_one_pass(x: Tensor, pairs: Pairs, transposed: bool = False) -> Tensor:
    """Return ``own * x + rest * x[partner]``, or the product with the transposed matrix.

    The weight `rest` is that of the row itself, ``1 - own``, or of its partner if `transposed`.
    """
    dense = x if x.ndim < 2 or x.is_contiguous() else x.movedim(1, -1)  # channels last
    if not dense.is_contiguous():
        own = along(pairs.rows, x.ndim)
        rest = 1 - (own[pairs.partner] if transposed and pairs.per_sample else own)
        return weighted_sum(x, take(x, pairs.partner), own, rest, pairs.interior or None)
    rows = dense.reshape(x.shape[0], -1)
    if x.is_cpu:
        mixed = _by_bags(rows, pairs, transposed)
    else:
        mixed = _gpu_kernel()(rows, pairs.rows.contiguous(), pairs.partner.contiguous(), transposed)
    # Not a view: autograd forbids in-place operations, such as a user's ReLU, on a returned view.
    return mixed.resize_as_(x) if dense is x else mixed.as_strided_(x.shape, x.stride())


def _by_bags(x: Tensor, pairs: Pairs, transposed: bool) -> Tensor:
    """Mix rows (B, n) with an embedding bag that has two weighted rows in each bag."""
    size, partner = len(x), pairs.partner.numpy()
    own = pairs.rows.numpy().astype(np.float64 if x.dtype == torch.float64 else np.float32)
    index, weights = np.empty((size, 2), np.int64), np.empty((size, 2), own.dtype)
    index[:, 0], index[:, 1] = np.arange(size), partner
    weights[:, 0], weights[:, 1] = own, 1 - (own[partner] if transposed and len(own) > 1 else own)
    starts = np.arange(0, 2 * size, 2)
    if not pairs.interior and not weights.all():  # rows of weight 0 may be infinite
        counted = weights.reshape(-1) != 0
        starts = (counted.cumsum() - counted)[starts]
        index, weights = index.reshape(-1)[counted], weights.reshape(-1)[counted]
    # F.embedding_bag(..., mode="sum") calls this after checks that take a third of its time.
    index, weights, starts = map(torch.from_numpy, (index.reshape(-1), weights.reshape(-1), starts))
    return torch.embedding_bag(x, index, starts, False, 0, False, weights)[0]


class _PairMix(torch.autograd.Function):
    """Autograd function of the mix in one pass; it has no `setup_context`, which is slow."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, pairs: Pairs) -> Tensor:
        ctx.pairs = pairs
        return _in_one_pass(x, pairs)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        pairs, (g,) = ctx.pairs, grads
        return _PairGradient.apply(g, pairs) if g.requires_grad else _gradient(g, pairs), None


class _PairGradient(torch.autograd.Function):
    """Autograd function of the mix's gradient, whose own gradient is the mix again."""

    @staticmethod
    def forward(ctx: Any, g: Tensor, pairs: Pairs) -> Tensor:
        ctx.pairs = pairs
        return _gradient(g, pairs)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        return pair_mix(grads[0], ctx.pairs), None


def _gradient(g: Tensor, pairs: Pairs) -> Tensor:
    if pairs.permutation:
        return _in_one_pass(g, pairs.inverted(), transposed=True)
    exact = g.to(wide(g.dtype))
    rows = along(pairs.rows, g.ndim).to(exact.dtype)
    rest = times(1 - rows, exact)
    return times(rows, exact).index_add(0, pairs.partner, rest).to(g.dtype)


@cache
def _gpu_kernel() -> Any:
    try:
        from layermix.mixing.blends.linear_triton import mix_rows

        one = torch.ones(1, 1, device="cuda")
        mix_rows(one, one[0], torch.zeros(1, dtype=torch.int64, device="cuda"))
    except ImportError:
        return None
    except Exception as error:  # Triton raises errors of many kinds: no compiler, an old GPU
        warn(
            f"the linear mix uses torch's operations, because triton cannot build its kernel: "
            f"{type(error).__name__}: {error}",
        )
        return None
    return mix_rows


def _has_tangent(x: Tensor) -> bool:
    if getattr(forward_ad, "_current_level", 0) < 0:
        return False
    return forward_ad.unpack_dual(x).tangent is not None
