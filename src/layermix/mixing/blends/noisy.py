"""Noisy: the linear mix with additive and multiplicative noise.

Noisy Feature Mixup (Lim, Erichson, Utrera, Xu, Mahoney, 2022):

    (1 + s_m xi_m) * (lam x + (1 - lam) x[partner]) + s_a xi_a

Here xi_m is uniform on (-1, 1) and xi_a is standard normal. Each mix draws its strengths s_m and
s_a as the level times a number from Beta(2, 5). A ratio of 1 mixes nothing and adds no noise.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from layermix.mixing import checks
from layermix.mixing.blends.base import Arrays, Blended, Draws, RatioBlend
from layermix.mixing.blends.linear import interpolate, pair_mix
from layermix.mixing.pairs import Pairs
from layermix.mixing.random_fields import draw_seeds, normal_field, uniform_field
from layermix.mixing.tensors import along, wide


@dataclass(frozen=True)
class Noisy(RatioBlend):
    """Mix linearly, and add noise.

    Attributes
    ----------
    additive, multiplicative
        Noise levels; the defaults are the paper's values for CIFAR-10.
    """

    additive: float = 0.4
    multiplicative: float = 0.2

    def __post_init__(self) -> None:
        checks.at_least(self, "additive")
        checks.at_least(self, "multiplicative")

    def draw(self, rng: np.random.Generator, rows: tuple[int, ...], batch: int) -> Arrays:
        """Draw the strength and the seed of the additive and of the multiplicative noise."""
        return {"strength": rng.beta(2, 5, size=(*rows, 2)), "seed": draw_seeds(rng, (*rows, 2))}

    def __call__(
        self, own: Tensor, other: Tensor, ratio: Tensor, draws: Draws, channels: int
    ) -> Blended:
        """Mix activations of any shape; see `Blend`."""
        return self._noisy(interpolate(own, other, ratio), ratio, draws)

    def mix_batch(self, x: Tensor, pairs: Pairs, draws: Draws, channels: int) -> Blended:
        """Mix a batch in one pass, then add the noise; see `Blend`."""
        return self._noisy(pair_mix(x, pairs), pairs.view, draws)

    def _noisy(self, mixed: Tensor, ratio: Tensor, draws: Draws) -> Blended:
        shape, dtype = tuple(mixed.shape[1:]), wide(mixed.dtype)
        strength = draws["strength"].to(dtype).reshape(-1, 2) * (ratio.reshape(-1) < 1)[:, None]
        add, multiply = (along(s, mixed.ndim) for s in strength.unbind(1))
        seeds = draws["seed"].reshape(-1, 2)
        if len(seeds) == 1:  # one strength for the batch, but different noise for each example
            seeds = seeds + torch.arange(len(mixed), device=seeds.device)[:, None]
        factor = 1 + self.multiplicative * multiply * (2 * uniform_field(seeds[:, 1], shape) - 1)
        noise = self.additive * add * normal_field(seeds[:, 0], shape, dtype)
        return Blended(mixed * factor.to(mixed.dtype) + noise.to(mixed.dtype), ratio)
