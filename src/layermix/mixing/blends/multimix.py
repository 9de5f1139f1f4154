"""MultiMix: many more mixes than examples, each a combination of the whole batch.

MultiMix (Venkataramanan, Kijak, Amsaleg, Avrithis, 2023): each of N mixes is a convex combination
of all B examples. Its weights are from a symmetric Dirichlet distribution with a parameter from
U(0.5, 2). Use it where no later layer depends on the batch size, such as at the final layer.

If `dense`, each position of the last maps before pooling is mixed and classified on its own.
Weights are scaled by attention: the product of a position with the mean over positions.

Shapes: B examples, N = k * B mixes, P positions, C channels.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from layermix.mixing import checks
from layermix.mixing.blends.base import Arrays, Blend, Blended, Draws
from layermix.mixing.blends.mask import position_size
from layermix.mixing.pairs import Pairs
from layermix.mixing.tensors import combined, wide

_MOST = 1000  # mixes for each example


@dataclass(frozen=True)
class MultiMix(Blend):
    """Return several mixes for each example, each a combination of the whole batch.

    Attributes
    ----------
    k
        Number of mixes for each example of the batch.
    low, high
        Bounds of the Dirichlet parameter.
    dense
        Mix each position of a map, weighted by attention.
    """

    changes_batch_size = True

    k: int = 8
    low: float = 0.5
    high: float = 2.0
    dense: bool = False

    def __post_init__(self) -> None:
        checks.whole(self, "k")
        checks.ensure(self, "k", self.k <= _MOST, f"{_MOST:,} or less")
        checks.positive(self, "low")
        checks.positive(self, "high")
        checks.ensure(self, "low", self.low <= self.high, f"no more than high, {self.high!r}")

    @property
    def positional(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """True if `dense` is True, because each position then has its own weights."""
        return self.dense

    @property
    def linear_equivariant(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """True unless `dense` is True: mixing after a linear layer gives the same result."""
        return not self.dense

    def draw(self, rng: np.random.Generator, rows: tuple[int, ...], batch: int) -> Arrays:
        """Draw the weights of all examples in each mix, (k * B, B); rows sum to 1.

        If a row underflows to zeros, a random example gets weight 1, the limit for parameter 0.
        """
        alpha = rng.uniform(self.low, self.high, size=(self.k * batch, 1))
        gamma = rng.standard_gamma(np.broadcast_to(alpha, (self.k * batch, batch)))
        lost = np.flatnonzero(gamma.sum(1) == 0)
        gamma[lost, rng.integers(batch, size=len(lost))] = 1
        return {"weights": gamma / gamma.sum(1, keepdims=True)}

    def weight(self, ratio: Tensor, draws: Draws) -> Tensor | None:
        """Return label weights (N, B), with a row for each mix; None if `dense` is True."""
        return None if self.dense else draws["weights"]

    def mix_batch(self, x: Tensor, pairs: Pairs, draws: Draws, channels: int) -> Blended:
        """Mix a batch without a copy of partners; see `Blend`."""
        return self(x, x, pairs.view, draws, channels)

    def __call__(
        self, own: Tensor, other: Tensor, ratio: Tensor, draws: Draws, channels: int
    ) -> Blended:
        """Return N mixes (N, ...) of B activations; if `dense`, one of size 1 for each position."""
        weights = draws["weights"]
        if self.dense:
            return _dense(own, weights, channels)
        dtype = wide(own.dtype)
        mixed = combined(weights.to(dtype), own.flatten(1).to(dtype)).to(own.dtype)
        return Blended(mixed.view(-1, *own.shape[1:]), weights)


def _dense(x: Tensor, weights: Tensor, channels: int) -> Blended:
    size = position_size(x, channels)
    z = x.movedim(channels, -1).flatten(1, -2).transpose(0, 1)  # (P, B, C)
    with torch.no_grad():
        exact = z.to(wide(z.dtype))
        weights = weights.to(exact)
        agreement = (exact * exact.mean(0)).sum(-1).relu()  # (P, B)
        attention = agreement / agreement.sum(0).clamp_min(torch.finfo(exact.dtype).tiny)
        scaled = attention[:, None] * weights  # (P, N, B)
        total = scaled.sum(-1, keepdim=True)
        shares = torch.where(total > 0, scaled / total, weights)
    mixed = combined(shares, z.to(shares.dtype)).to(x.dtype)  # (P, N, C)
    ones = [1] * len(size)
    values = mixed.flatten(0, 1).view(-1, x.shape[channels], *ones).movedim(1, channels)
    return Blended(values, shares.flatten(0, 1))
