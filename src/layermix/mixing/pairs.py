"""Pairs: the partner and the ratio of each example in a batch."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from layermix.errors import InputError, brief
from layermix.mixing.tensors import is_readable


class Pairs(NamedTuple):
    """The partner and the ratio of each example in a batch.

    Compiled code must not read `ratio`: Dynamo traces a graph with a float64 scalar twice.
    """

    ratio: Tensor  # weight of each example, float () or (B,)
    rows: Tensor  # the same with shape (1,) or (B,)
    partner: Tensor  # index of each partner, int64 (B,)
    per_sample: bool  # True if each example has its own ratio
    interior: bool = False  # True only if no ratio is 0 or 1 in float32
    permutation: bool = False  # True only if the partners are a permutation
    inverse: Tensor | None = None  # index of the example whose partner each one is, if stored

    @property
    def view(self) -> Tensor:
        """The ratio, () or (B,), as a view of `rows`; unlike `ratio`, compiled code may read it."""
        return self.rows if self.per_sample else self.rows.squeeze(0)

    def tensors(self) -> list[Tensor]:
        """Return ratio and partner, and the inverse if it is stored."""
        stored = [] if self.inverse is None else [self.inverse]
        return [self.ratio, self.partner, *stored]

    def weighted(self, ratio: Tensor) -> "Pairs":
        """Return the pairs with another ratio, () or (B,)."""
        if ratio is self.ratio:
            return self
        per_sample = ratio.ndim > 0
        return self._replace(
            ratio=ratio, rows=ratio.reshape(-1), per_sample=per_sample, interior=False
        )

    def inverted(self) -> "Pairs":
        """Return the pairs of each example with the one whose partner it is.

        The partners must be a permutation. The ratios of examples do not move.
        """
        inverse = self.inverse
        if inverse is None:
            order = torch.arange(len(self.partner), device=self.partner.device)
            inverse = torch.empty_like(self.partner).scatter_(0, self.partner, order)
        return self._replace(partner=inverse, inverse=self.partner)


def checked_pairs(ratio: Tensor, partner: Tensor, cross_rank: bool) -> Pairs:
    """Check the ratio and the partners of a user's plan, and return them as `Pairs`."""
    for name, value in (("ratio", ratio), ("partner", partner)):
        if not isinstance(value, Tensor):
            raise InputError(
                f"{name} is {brief(value)}, but must be a tensor: draw a plan with "
                "mixer.draw(len(x)), or call lm.mixup(x, y, alpha) without a plan"
            )
    if partner.dtype != torch.int64 or partner.ndim != 1:
        raise InputError(
            "partner must be an int64 tensor of shape (B,), but it is "
            f"{partner.dtype} of shape {tuple(partner.shape)}"
        )
    if not (ratio.is_floating_point() and ratio.shape in ((), partner.shape)):
        raise InputError(
            f"ratio must be a float tensor of shape () or ({len(partner)},), but it is "
            f"{ratio.dtype} of shape {tuple(ratio.shape)}"
        )
    permutation = is_readable(partner) and not cross_rank and is_permutation(partner.numpy())
    interior = is_readable(ratio) and is_interior(ratio.numpy())
    inverse = torch.from_numpy(inverse_of(partner.numpy())) if permutation else None
    return Pairs(ratio, ratio.reshape(-1), partner, ratio.ndim > 0, interior, permutation, inverse)


def is_permutation(partner: np.ndarray) -> bool:
    """Return True if partners are a permutation; raise an `InputError` if one is out of range."""
    size = len(partner)
    if size and (partner.min() < 0 or partner.max() >= size):
        wrong = partner[(partner < 0) | (partner >= size)][0]
        raise InputError(
            f"partner has {wrong}, but the examples of a batch of {size} are numbered from 0 to "
            f"{size - 1}"
        )
    return bool((np.bincount(partner, minlength=size) == 1).all())


def inverse_of(partner: np.ndarray) -> np.ndarray:
    """Return the inverse of a permutation, int64 (B,)."""
    inverse = np.empty_like(partner)
    inverse[partner] = np.arange(len(partner))
    return inverse


def is_interior(ratio: np.ndarray) -> bool:
    """Return True if no ratio is 0 or 1 after rounding to float32, the precision of a mix."""
    single = ratio.astype(np.float32)
    if not single.ndim:
        return 0 < float(single) < 1
    return bool(ratio.size and single.min() > 0 and single.max() < 1)
