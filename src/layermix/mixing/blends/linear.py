"""Linear: ``lam * x + (1 - lam) * x[partner]``, for activations of any shape, in one pass.

mixup (Zhang, Cisse, Dauphin, Lopez-Paz, 2018) at the input, Manifold Mixup (Verma et al., 2019) in
hidden layers. The mix is a product with a sparse matrix that has two nonzeros per row. It reads
each row of N bytes twice and writes it once; separate torch operations move 9 N bytes. If the
partners are a permutation, the transposed matrix has two nonzeros per row too, and the gradient
needs no scatter: ``grad[j] = lam[j] g[j] + (1 - lam[i]) g[i]`` with ``i = inverse[j]``.

The product is torch's weighted embedding bag on the CPU, and a Triton kernel on a GPU. Small
tensors, other dtypes and layouts, compiled graphs and function transforms use torch's operations,
with the same gradient. Shapes: B examples; x (B, ...).
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from layermix.errors import warn
from layermix.mixing.blends.base import Blended, Draws, RatioBlend
from layermix.mixing.pairs import Pairs
from layermix.mixing.tensors import along, is_traced, take, times, weighted_sum, wide

_SMALL = 1 << 14  # elements on the CPU up to which call overhead exceeds memory time
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
        small = x.is_cpu and x.numel() <= _SMALL and not torch.compiler.is_compiling()
        if small and pairs.interior and x.dtype == pairs.ratio.dtype and not pairs.per_sample:
            other = x.index_select(0, pairs.partner)
            mixed = (pairs.ratio * x).add_(other, alpha=1 - float(pairs.ratio))
            return Blended(mixed, pairs.ratio)
        return Blended(pair_mix(x, pairs), pairs.view)


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
    return _in_one_pass(x, pairs.rows, 1 - pairs.rows, pairs.partner, pairs.interior)


def _by_operations(x: Tensor, pairs: Pairs) -> Tensor:
    rows = pairs.rows if pairs.rows.device == x.device else pairs.ratio
    ratio, other = along(rows, x.ndim), take(x, pairs.partner)
    interior = pairs.interior and not torch.compiler.is_compiling()
    if interior and x.dtype == rows.dtype:
        return (ratio * x).addcmul_(1 - ratio, other)
    return weighted_sum(x, other, ratio, interior=interior)


def _is_fused(x: Tensor, pairs: Pairs) -> bool:
    """Return True if the mix can be computed in one pass over memory, and this is faster."""
    if x.is_cpu and (x.numel() <= _SMALL or x.dtype != torch.float32):
        return False
    # Compiled graphs use torch's operations: torch 2.11 computes wrong gradients of custom autograd
    # functions there.
    if is_traced() or pairs.rows.requires_grad or _has_tangent(x):
        return False
    if type(x) not in _PLAIN or not x.numel() or x.device != pairs.rows.device:
        return False
    return x.is_cpu or (x.is_cuda and x.dtype in _KERNEL_DTYPES and _gpu_kernel() is not None)


def _in_one_pass(x: Tensor, own: Tensor, rest: Tensor, other: Tensor, interior: bool) -> Tensor:
    """Return ``own * x + rest * x[other]`` for row weights `own` and `rest`, (1,) or (B,)."""
    dense = x if x.ndim < 2 or x.is_contiguous() else x.movedim(1, -1)  # channels last
    if not dense.is_contiguous():
        own, rest = along(own, x.ndim), along(rest, x.ndim)
        return weighted_sum(x, take(x, other), own, rest, interior or None)
    rows = dense.reshape(x.shape[0], -1)
    if x.is_cpu:
        mixed = _by_bags(rows, own, rest, other, interior)
    else:
        mixed = _gpu_kernel()(rows, own.contiguous(), rest.contiguous(), other.contiguous())
    # Not a view: autograd forbids in-place operations, such as a user's ReLU, on a returned view.
    return mixed.resize_as_(x) if dense is x else mixed.as_strided_(x.shape, x.stride())


def _by_bags(x: Tensor, own: Tensor, rest: Tensor, other: Tensor, interior: bool) -> Tensor:
    """Mix rows (B, n) with an embedding bag that has two weighted rows in each bag."""
    size = len(x)
    index = torch.stack([torch.arange(size), other], 1).flatten()
    weights = torch.stack([own.float().expand(size), rest.float().expand(size)], 1).flatten()
    starts = torch.arange(0, 2 * size, 2)
    if not interior and not weights.all():  # rows of weight 0 may be infinite
        counted = weights != 0
        starts = counted.cumsum(0)[starts] - counted[starts].long()
        index, weights = index[counted], weights[counted]
    # F.embedding_bag(..., mode="sum") calls this after checks that take a third of its time.
    return torch.embedding_bag(x, index, starts, False, 0, False, weights)[0]


class _PairMix(torch.autograd.Function):
    """Autograd function of the mix in one pass; it has no `setup_context`, which is slow."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, pairs: Pairs) -> Tensor:
        ctx.pairs = pairs
        return _in_one_pass(x, pairs.rows, 1 - pairs.rows, pairs.partner, pairs.interior)

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
    own, partner = pairs.rows, pairs.partner
    if pairs.permutation:
        order = torch.arange(len(partner), device=partner.device)
        inverse = torch.empty_like(partner).scatter_(0, partner, order)
        rest = 1 - (own[inverse] if pairs.per_sample else own)
        return _in_one_pass(g, own, rest, inverse, pairs.interior)
    exact = g.to(wide(g.dtype))
    rows = along(own, g.ndim).to(exact.dtype)
    return times(rows, exact).index_add(0, partner, times(1 - rows, exact)).to(g.dtype)


@cache
def _gpu_kernel() -> Any:
    try:
        from layermix.mixing.blends.linear_triton import mix_rows

        one = torch.ones(1, 1, device="cuda")
        mix_rows(one, one[0], one[0], torch.zeros(1, dtype=torch.int64, device="cuda"))
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
