"""Aligned: align the partner's positions with the example's, then mix.

AlignMix (Venkataramanan, Kijak, Amsaleg, Avrithis, 2022), for hidden maps and tokens. Entropic
optimal transport (Sinkhorn iterations; Cuturi, 2013) aligns the positions, which have equal mass.
Each position of the example is mixed with a weighted mean of the partner's positions.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from layermix.mixing import checks
from layermix.mixing.blends.base import Blended, Draws, RatioBlend
from layermix.mixing.blends.linear import interpolate
from layermix.mixing.blends.mask import position_size
from layermix.mixing.tensors import wide


@dataclass(frozen=True)
class Aligned(RatioBlend):
    """Mix each example with its partner, whose positions are aligned by optimal transport.

    Attributes
    ----------
    entropy
        Weight of the entropy, in units of the mean squared distance between positions.
    iterations
        Number of Sinkhorn iterations.
    """

    positional = True
    moves_positions = True

    entropy: float = 0.1
    iterations: int = 100

    def __post_init__(self) -> None:
        checks.positive(self, "entropy")
        checks.whole(self, "iterations")

    def __call__(
        self, own: Tensor, other: Tensor, ratio: Tensor, draws: Draws, channels: int
    ) -> Blended:
        """Mix activations of L positions in O(L^2); no gradient flows through the transport."""
        position_size(own, channels)
        x1, x2 = (x.movedim(channels, -1).flatten(1, -2) for x in (own, other))  # (B, L, C)
        with torch.no_grad():
            shares = self._transport(x1, x2)
        aligned = (shares.to(own.dtype) @ x2).view(own.movedim(channels, -1).shape)
        return Blended(interpolate(own, aligned.movedim(-1, channels), ratio), ratio)

    def _transport(self, x1: Tensor, x2: Tensor) -> Tensor:
        """Return weights (B, L, L): row i has those of all x2 positions for position i of x1."""
        dtype = wide(x1.dtype)
        cost = torch.cdist(x1.to(dtype), x2.to(dtype)).square()
        scale = cost.mean((1, 2), keepdim=True).clamp_min(torch.finfo(dtype).tiny)
        logits = -cost / (self.entropy * scale)
        rows, columns = logits.new_zeros(*logits.shape[:2], 1), logits.new_zeros(len(logits), 1, 1)
        for _ in range(1 if x1.is_meta else self.iterations):  # one is enough for shapes
            columns = -(logits + rows).logsumexp(1, keepdim=True)
            rows = -(logits + columns).logsumexp(2, keepdim=True)
        return (logits + rows + columns).exp()
