"""Who is mixed with whom, and the linear mix of a whole batch in one pass.

As a product with a matrix that has two numbers in each row,

    out[i] = lam[i] x[i] + (1 - lam[i]) x[partner[i]]

reads every row twice and writes it once: 3 N bytes where the same in torch's operations moves 9 N.
Where partners are a permutation, its gradient is a product with the transposed matrix, which has
two numbers in each row as well, so that nothing is scattered:

    grad[j] = lam[j] g[j] + (1 - lam[i]) g[i],    i = inverse[j]

On the CPU the product is torch's embedding bag with weights, on a GPU a kernel of our own; other
dtypes and devices, layouts without dense rows, compiled graphs and function transforms take torch's
operations, with the same gradient.

Shapes: B examples; x (B, ...).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from layermix.errors import InputError
from layermix.mixing.blends.arrays import along, weighed
from layermix.mixing.device import moved


@dataclass(frozen=True, eq=False)
class Pairs:
    """The examples of a batch in pairs.

    Attributes
    ----------
    ratio
        Weight of the first of each pair, float () or (B,), in [0, 1].
    partner
        The second, int64 (B,).
    inverse
        Whose partner each example is, int64 (B,); None where partners are no permutation, or it
        is not known.
    back
        Whether the pairs are those of the gradient, in which the second has the weight that its
        own pair gives its partner.
    """

    ratio: Tensor
    partner: Tensor
    inverse: Tensor | None = None
    back: bool = False

    @classmethod
    def of(cls, ratio: Tensor, partner: Tensor, across: bool = False) -> "Pairs":
        """Return the pairs of a plan; the inverse is looked for on the CPU alone.

        Raises
        ------
        InputError
            For a partner that is not in the batch, unless it may be `across` processes.
        """
        if torch.compiler.is_compiling() or type(partner) is not Tensor or not partner.is_cpu:
            return cls(ratio, partner)
        inverse = _inverse(partner)
        if inverse is None and not across:
            _check(partner)
        return cls(ratio, partner, inverse)

    def to(self, device: torch.device | str) -> "Pairs":
        """Return the pairs on another device."""
        inverse = None if self.inverse is None else moved(self.inverse, device)
        return Pairs(moved(self.ratio, device), moved(self.partner, device), inverse, self.back)

    def mix(self, x: Tensor) -> Tensor:
        """Return each example mixed with its partner, in dtype and memory format of `x`."""
        if torch._C._are_functorch_transforms_active() or self.ratio.requires_grad:
            return self._plain(x)
        if x.requires_grad and torch.is_grad_enabled():
            way = _Compiled if torch.compiler.is_compiling() else _Eager
            return way.apply(x, self)  # pyright: ignore[reportReturnType]
        return self._mixed(x)

    def gradient(self, g: Tensor) -> Tensor:
        """Return the gradient at what was mixed, of the gradient `g` at the mix."""
        if self.inverse is not None:
            return Pairs(self.ratio, self.inverse, self.partner, not self.back).mix(g)
        wide = g.to(torch.promote_types(g.dtype, torch.float32))
        rows = (along(self.ratio, g.ndim) if self.ratio.ndim else self.ratio).to(wide.dtype)
        return (rows * wide).index_add(0, self.partner, (1 - rows) * wide).to(g.dtype)

    @cached_property
    def bags(self) -> tuple[Tensor, Tensor, Tensor]:
        """Both of each pair, int64 (2B,), where pairs begin, (B,), and weights, float32 (2B,)."""
        size, (own, other) = len(self.partner), self._weights(torch.float32)
        pairs = torch.empty(size, 2, dtype=torch.int64)
        weights = torch.empty(size, 2)
        pairs[:, 0], pairs[:, 1] = torch.arange(size), self.partner
        weights[:, 0], weights[:, 1] = own, other
        return pairs.view(-1), torch.arange(0, 2 * size, 2), weights.view(-1)

    def _weights(self, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Return the weights of the first and of the second of each pair, () or (B,)."""
        ratio = self.ratio.to(dtype)
        other = 1 - ratio
        return ratio, other[self.partner] if self.back and other.ndim else other

    def _plain(self, x: Tensor) -> Tensor:
        """Mix by torch's operations."""
        wide = torch.promote_types(x.dtype, torch.float32)
        own, other = (along(w, x.ndim) if w.ndim else w for w in self._weights(wide))
        return weighed(x, x[self.partner], own, other)

    def _mixed(self, x: Tensor) -> Tensor:
        """Mix in one pass where that can be."""
        kernel = None if torch.compiler.is_compiling() else self._kernel(x)
        rows = x if x.is_contiguous() else x.movedim(1, -1)  # channels last
        if kernel is None or not rows.is_contiguous():
            return self._plain(x)
        if x.ndim == 2:
            return kernel(x)
        # In place, for autograd takes no view out of a function that a user's ReLU may overwrite.
        return kernel(rows.view(len(x), -1)).as_strided_(x.shape, x.stride())

    def _kernel(self, x: Tensor) -> Callable[[Tensor], Tensor] | None:
        """Return what mixes rows that are dense in memory, (B, n), or None where nothing does."""
        if type(x) not in _PLAIN or not x.numel():
            return None
        if x.device.type == "cpu":
            return self._bagged if x.dtype == torch.float32 else None
        if x.device.type == "cuda" and x.dtype in _KERNEL_DTYPES and _gpu_kernel():
            return self._launched
        return None

    def _bagged(self, x: Tensor) -> Tensor:
        indices, starts, weights = self.bags
        return F.embedding_bag(indices, x, starts, mode="sum", per_sample_weights=weights)

    def _launched(self, x: Tensor) -> Tensor:
        return _gpu_kernel()(x, self.ratio, self.partner, self.back)


_KERNEL_DTYPES = (torch.float32, torch.float16, torch.bfloat16)
_PLAIN = (Tensor, torch.nn.Parameter)  # and not a subclass, which may hold anything


class _Compiled(torch.autograd.Function):
    """The mix with a gradient that gathers."""

    @staticmethod
    def forward(x: Tensor, pairs: Pairs) -> Tensor:
        return pairs._mixed(x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.pairs = inputs[1]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        return ctx.pairs.gradient(grads[0]), None


class _Eager(_Compiled):
    """The same in forward mode too, which compilation does not take: it is linear."""

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor) -> Tensor:
        return ctx.pairs.mix(tangents[0])


@cache
def _gpu_kernel() -> Any:
    """Return the kernel, or None where there is no triton."""
    try:
        from layermix.mixing.blends.kernel import mix_rows
    except ImportError:
        return None
    return mix_rows


def _inverse(partner: Tensor) -> Tensor | None:
    """Return the inverse of a permutation, int64 (B,), or None of what is none."""
    size, found = len(partner), partner.numpy()
    inverse = np.full(size, -1)
    try:
        inverse[found] = np.arange(size)
    except IndexError:
        return None  # partners in other processes
    return torch.from_numpy(inverse) if (inverse >= 0).all() and (found >= 0).all() else None


def _check(partner: Tensor) -> None:
    size = len(partner)
    outside = partner[(partner < 0) | (partner >= size)].tolist()
    if outside:
        raise InputError(
            f"partner has {outside[0]}, but the examples of a batch of {size} are numbered from 0 "
            f"to {size - 1}"
        )
