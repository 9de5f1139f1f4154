"""Blends with a mask, which selects the example or its partner at each position.

Shapes: B batch, C channels; R rows, 1 if the batch has one ratio, else B; `size` the positions of
an activation, (H, W) for maps and (L,) for tokens, without batch and channels.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from layermix.errors import InputError
from layermix.mixing.blends.base import Blend, Blended, Draws
from layermix.mixing.tensors import float64_on, weighted_sum


@dataclass(frozen=True)
class MaskBlend(Blend):
    """Base class of blends that select the example or its partner at each position."""

    positional = True
    position_dims: ClassVar[tuple[int, ...]] = (1, 2, 3)

    def mask(self, size: tuple[int, ...], other: Tensor, ratio: Tensor, draws: Draws) -> Tensor:
        """Return the share of the example at each position, bool or float (R, *size).

        `other` has the partners' activations, (B, C, *size); `ratio` (R,) is the example's share.
        """
        raise NotImplementedError

    def __call__(
        self, own: Tensor, other: Tensor, ratio: Tensor, draws: Draws, channels: int
    ) -> Blended:
        """Mix activations with positions, (B, C, *size) or (B, *size, C); see `Blend`."""
        size = position_size(own, channels, self.position_dims)
        mask = self.mask(size, other.movedim(channels, 1), ratio.reshape(-1), draws)
        return Blended(apply_mask(own, other, mask, channels), kept_share(mask), mask)


def position_size(x: Tensor, channels: int, dims: tuple[int, ...] = (1, 2, 3)) -> tuple[int, ...]:
    """Return the shape without batch and channels; its number of dimensions must be in `dims`."""
    size = list(x.shape[1:])
    if len(size) > 1:
        del size[channels - 1 if channels > 0 else channels]
    else:
        size = []
    if len(size) in dims:
        return tuple(size)
    allowed = " or ".join(map(str, dims))
    raise InputError(
        f"an activation of shape {tuple(x.shape)} has {len(size)} position dimensions besides "
        f"batch and channels, but this blend needs {allowed}: mix it with blend='linear', or at a "
        "point with maps or tokens"
    )


def apply_mask(own: Tensor, other: Tensor, mask: Tensor, channels: int) -> Tensor:
    """Return `own` where a mask (R, *size) is 1, and `other` where it is 0."""
    mask = mask.unsqueeze(channels)
    return own.where(mask, other) if mask.dtype == torch.bool else weighted_sum(own, other, mask)


def resized_mask(mask: Tensor, x: Tensor, channels: int) -> Tensor | None:
    """Resize a mask (R, *size) for another tensor of the same examples; None if impossible.

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
    return F.interpolate(values[:, None], size=size, mode="nearest-exact")[:, 0].to(mask.dtype)


def kept_share(mask: Tensor) -> Tensor:
    """Return the mean of each mask, the example's share, float64: () for one mask, else (B,)."""
    flat = mask.flatten(1)
    share = flat.sum(1, dtype=float64_on(mask.device)) / flat.shape[1]
    return share[0] if len(share) == 1 else share
