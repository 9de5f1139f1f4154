"""Moments: give each example the mean and the standard deviation of its partner.

MoEx (Li, Wu, Lim, Belongie, Weinberger, 2021) exchanges the moments over the channels at each
position (positional normalization), and mixes the labels by the ratio, 0.9 in the paper. MixStyle
(Zhou, Yang, Qiao, Xiang, 2021) mixes the moments over the positions of each channel, and keeps the
labels, because a style does not change the class. A ratio of 1 leaves an example unchanged.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from layermix.errors import InputError
from layermix.mixing.blends.base import Blend, Blended, Draws, RatioBlend
from layermix.mixing.blends.linear import interpolate
from layermix.mixing.blends.mask import position_size
from layermix.mixing.tensors import along, wide

_LEAST_VARIANCE = 1e-5


@dataclass(frozen=True)
class MomentExchange(RatioBlend):
    """MoEx: replace the moments over channels by the partner's; mix labels by the ratio."""

    default_ratio = 0.9  # the paper's value

    def __call__(
        self, own: Tensor, other: Tensor, ratio: Tensor, draws: Draws, channels: int
    ) -> Blended:
        """Mix floating-point activations (B, C, ...) or (B, ..., C) with two channels or more."""
        if own.shape[channels] < 2:
            raise InputError(
                f"an activation of shape {tuple(own.shape)} has one channel, so that an exchange "
                "of moments over channels would return the partner: mix at a point with more "
                "channels, or with another blend"
            )
        mean, spread = _moments(own, (channels,))
        mean2, spread2 = _moments(other, (channels,))
        return Blended(_unless_one(ratio, own, (own - mean) / spread * spread2 + mean2), ratio)


@dataclass(frozen=True)
class MixStyle(Blend):
    """MixStyle: mix the moments over positions; labels are not mixed."""

    def weight(self, ratio: Tensor, draws: Draws) -> Tensor:
        """Return 1, because the example keeps its label."""
        return torch.ones_like(ratio)

    def __call__(
        self, own: Tensor, other: Tensor, ratio: Tensor, draws: Draws, channels: int
    ) -> Blended:
        """Mix activations with positions; gradients do not flow through the moments."""
        position_size(own, channels)
        over = tuple(d for d in range(1, own.ndim) if d != channels % own.ndim)
        with torch.no_grad():
            mean, spread = _moments(own, over)
            mean2, spread2 = _moments(other, over)
            mixed_mean = interpolate(mean, mean2, ratio)
            mixed_spread = interpolate(spread, spread2, ratio)
        values = (own - mean) / spread * mixed_spread + mixed_mean
        return Blended(_unless_one(ratio, own, values), torch.ones_like(ratio))


def _moments(x: Tensor, over: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation over dimensions, with keepdim, float32 or float64."""
    exact = x.to(wide(x.dtype))
    variance, mean = torch.var_mean(exact, over, correction=0, keepdim=True)
    return mean, (variance + _LEAST_VARIANCE).sqrt()


def _unless_one(ratio: Tensor, own: Tensor, mixed: Tensor) -> Tensor:
    """Return the example's values where the ratio is 1, and the mixed values elsewhere."""
    return torch.where(along(ratio == 1, own.ndim), own, mixed.to(own.dtype))
