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
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd import forward_ad

from layermix.errors import InputError, warn
from layermix.mixing.blends.arrays import along, readable, times, traced, weighed
from layermix.mixing.blends.bags import Bags, bags_of
from layermix.mixing.device import moved


@dataclass(frozen=True, eq=False)
class Pairs:
    """The examples of a batch in pairs.

    Attributes
    ----------
    rows
        Weight of the first of each pair, in [0, 1]: float (B,), or (1,) for all. Dynamo traces a
        graph twice that reads a float64 scalar on the CPU.
    partner
        The second, int64 (B,).
    inverse
        Whose partner each example is, int64 (B,); None where partners are no permutation, or it
        is not known.
    bags
        What was made of them for the CPU: by whether it is for the gradient.
    sought
        Whether the inverse was looked for, where it can be; if not, a gradient does.
    partial
        True if it is known that no ratio is 0 or 1 in float32.
    each
        True if each example has a ratio of its own.
    """

    rows: Tensor
    partner: Tensor
    inverse: Tensor | None = None
    bags: dict[bool, Bags] = field(default_factory=dict)
    sought: bool = True
    partial: bool = False
    each: bool = True

    @classmethod
    def of(cls, ratio: Tensor, partner: Tensor, across: bool = False) -> "Pairs":
        """Return the pairs of a plan; the inverse is looked for on the CPU alone.

        Raises
        ------
        InputError
            For a partner that is not in the batch, unless it may be `across` processes.
        """
        rows, partial, each = ratio.reshape(-1), are_partial(ratio), ratio.ndim > 0
        if across or type(partner) is not Tensor or not partner.is_cpu or traced():
            return cls(rows, partner, partial=partial, each=each)
        check_partner(partner)
        return cls(rows, partner, inverse_of(partner), partial=partial, each=each)

    @property
    def ratio(self) -> Tensor:
        """Weight of the first of each pair, () or (B,)."""
        return self.rows if self.each else self.rows.squeeze(0)

    def to(self, device: torch.device | str) -> "Pairs":
        """Return the pairs on another device."""
        inverse = None if self.inverse is None else moved(self.inverse, device)
        rows, partner = moved(self.rows, device), moved(self.partner, device)
        return replace(self, rows=rows, partner=partner, inverse=inverse, bags={})

    def mix(self, x: Tensor) -> Tensor:
        """Return each example mixed with its partner, in dtype and memory format of `x`."""
        return self._product(x, back=False)

    def gradient(self, g: Tensor) -> Tensor:
        """Return the gradient at what was mixed, of the gradient `g` at the mix."""
        known = self if self.sought else Pairs.of(self.ratio, self.partner)
        if known.inverse is not None:
            return known._product(g, back=True)
        wide = g.to(torch.promote_types(g.dtype, torch.float32))
        rows = (along(self.ratio, g.ndim) if self.each else self.ratio).to(wide.dtype)
        return times(rows, wide).index_add(0, self.partner, times(1 - rows, wide)).to(g.dtype)

    def _product(self, x: Tensor, back: bool) -> Tensor:
        """Return the product with the matrix, or with its transposed one."""
        # A compiled graph derives the gradient of plain operations; torch 2.11 gets that of an
        # autograd function wrong there.
        if traced() or self.rows.requires_grad or _has_tangent(x):
            return self._plain(x, back)
        if x.requires_grad and torch.is_grad_enabled():
            return _Mix.apply(x, self, back)  # pyright: ignore[reportReturnType]
        return self._passed(x, back)

    def _passed(self, x: Tensor, back: bool) -> Tensor:
        """Mix in one pass where that can be."""
        kernel = self._kernel(x)
        rows = x if x.ndim < 2 or x.is_contiguous() else x.movedim(1, -1)  # channels last
        if kernel is None or not rows.is_contiguous():
            return self._plain(x, back)
        if x.ndim == 2:
            return kernel(x, back)
        mixed = kernel(rows.view(x.shape[0], -1), back)
        # In place, for autograd takes no view out of a function that a user's ReLU may overwrite.
        return mixed.resize_as_(x) if rows is x else mixed.as_strided_(x.shape, x.stride())

    def _plain(self, x: Tensor, back: bool) -> Tensor:
        """Mix by torch's operations."""
        other, own = self._second(back), self.ratio.to(torch.promote_types(x.dtype, torch.float32))
        rest = 1 - own
        if self.each:
            own, rest = along(own, x.ndim), along(rest[other] if back else rest, x.ndim)
        return weighed(x, x[other], own, rest, not torch.compiler.is_compiling() and self.partial)

    def _kernel(self, x: Tensor) -> Callable[[Tensor, bool], Tensor] | None:
        """Return what mixes rows that are dense in memory, (B, n), or None where nothing does."""
        if type(x) not in _PLAIN or not x.numel():
            return None
        if x.is_cpu:
            taken = x.dtype == torch.float32 and self.rows.is_cpu and self.partner.is_cpu
            return self._bagged if taken else None
        if not x.is_cuda or not self.rows.device == self.partner.device == x.device:
            return None
        return self._launched if x.dtype in _KERNEL_DTYPES and _gpu_kernel() else None

    def _bagged(self, x: Tensor, back: bool) -> Tensor:
        if back not in self.bags:
            self.bags[back] = bags_of(self.rows, self._second(back), back and self.each).counted()
        indices, starts, weights = self.bags[back]
        # What F.embedding_bag(..., mode="sum") calls, whose checks take a third of its time.
        return torch.embedding_bag(x, indices, starts, False, 0, False, weights)[0]

    def _launched(self, x: Tensor, back: bool) -> Tensor:
        second = self._second(back).contiguous()
        return _gpu_kernel()(x, self.rows.contiguous(), second, back)

    def _second(self, back: bool) -> Tensor:
        """Return the second of each pair, int64 (B,); for the gradient whose partner it is."""
        return self.inverse if back and self.inverse is not None else self.partner


_KERNEL_DTYPES = (torch.float32, torch.float16, torch.bfloat16)
_PLAIN = (Tensor, torch.nn.Parameter)  # and not a subclass, which may hold anything


class _Mix(torch.autograd.Function):
    """The mix with a gradient that gathers.

    Not in the form with `setup_context`, for which torch looks up the signature at every call.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, pairs: Pairs, back: bool) -> Tensor:
        ctx.pairs, ctx.back = pairs, back
        return pairs._passed(x, back)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        (g,) = grads
        return ctx.pairs.mix(g) if ctx.back else ctx.pairs.gradient(g), None, None


@cache
def _gpu_kernel() -> Any:
    """Return the kernel, or None where there is no triton, or it cannot build one."""
    try:
        from layermix.mixing.blends.kernel import mix_rows

        one = torch.ones(1, 1, device="cuda")
        mix_rows(one, one[0], torch.zeros(1, dtype=torch.int64, device="cuda"), back=False)
    except ImportError:
        return None
    except Exception as error:  # triton raises of many kinds: no compiler, a GPU too old for it
        warn(
            f"the linear mix is done by torch's operations, for triton cannot build its kernel "
            f"here: {type(error).__name__}: {error}",
        )
        return None
    return mix_rows


def _has_tangent(x: Tensor) -> bool:
    """Tell whether a tensor is one of forward mode, which compilation does not take."""
    if getattr(forward_ad, "_current_level", 0) < 0 or torch.compiler.is_compiling():
        return False
    return forward_ad.unpack_dual(x).tangent is not None


def are_partial(ratio: Tensor) -> bool:
    """Return True if no ratio, () or (B,), is 0 or 1 in float32; False if they cannot be read."""
    if not readable(ratio):
        return False
    single = ratio.float().numpy()
    return bool(single.min() > 0 and single.max() < 1) if single.size else True


def check_partner(partner: Tensor) -> None:
    """Raise an `InputError` for partners on the CPU, int64 (..., B), that are not in the batch."""
    found, size = partner.numpy(), partner.shape[-1]
    if found.size and (found.min() < 0 or found.max() >= size):
        number = found[(found < 0) | (found >= size)][0]
        raise InputError(
            f"partner has {number}, but the examples of a batch of {size} are numbered from 0 to "
            f"{size - 1}"
        )


def inverse_of(partner: Tensor) -> Tensor | None:
    """Return the inverse of permutations, int64 (..., B), or None where one is none.

    Parameters
    ----------
    partner
        Numbers from 0 to B - 1 on the CPU, int64 (..., B).
    """
    found, size = partner.numpy(), partner.shape[-1]
    if not size:
        return None
    inverse, numbers = np.full(found.shape, -1), np.arange(size)
    for own, one in zip(inverse.reshape(-1, size), found.reshape(-1, size), strict=True):
        own[one] = numbers
    return torch.from_numpy(inverse) if inverse.min() >= 0 else None
