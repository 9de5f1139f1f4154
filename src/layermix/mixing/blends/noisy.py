"""Noisy: the linear mix with additive and multiplicative noise.

Noisy Feature Mixup (Lim, Erichson, Utrera, Xu, Mahoney, 2022):

    (1 + s_m xi_m) * (lam x + (1 - lam) x[partner]) + s_a xi_a

with xi_m uniform on (-1, 1), xi_a standard normal, and both strengths drawn anew for each mix, as
the level times a draw from Beta(2, 5). A ratio of 1 mixes nothing and adds no noise.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from layermix.mixing import checks, field
from layermix.mixing.blends.arrays import along, rows
from layermix.mixing.blends.blend import Blended, ByRatio, Draws
from layermix.mixing.blends.linear import interpolate
from layermix.mixing.blends.pairs import Pairs


@dataclass(frozen=True)
class Noisy(ByRatio):
    """Mix linearly, and add noise.

    Attributes
    ----------
    additive, multiplicative
        Levels of both noises; the paper's for CIFAR-10.
    """

    additive: float = 0.4
    multiplicative: float = 0.2

    def __post_init__(self) -> None:
        checks.at_least(self, "additive")
        checks.at_least(self, "multiplicative")

    def draw(
        self, rng: np.random.Generator, rows: tuple[int, ...], batch: int
    ) -> dict[str, np.ndarray]:
        """Return the strengths of both noises and the seeds of their fields."""
        return {
            "strength": rng.beta(2, 5, size=(*rows, 2)),
            "seed": field.seeds(rng, (*rows, 2)),
        }

    def __call__(
        self, own: Tensor, other: Tensor, ratio: Tensor, draws: Draws, channels: int
    ) -> Blended:
        """Mix activations of any shape; see `Blend`."""
        return self._noisy(interpolate(own, other, ratio), ratio, draws)

    def of_batch(
        self, x: Tensor, pairs: Pairs, ratio: Tensor, draws: Draws, channels: int
    ) -> Blended:
        """Mix a batch in one pass, then add the noise; see `Blend`."""
        return self._noisy(pairs.mix(x), ratio, draws)

    def _noisy(self, mixed: Tensor, ratio: Tensor, draws: Draws) -> Blended:
        shape, wide = tuple(mixed.shape[1:]), torch.promote_types(mixed.dtype, torch.float32)
        strength = draws["strength"].to(wide).reshape(-1, 2) * (rows(ratio) < 1)[:, None]
        add, multiply = (along(s, mixed.ndim) for s in strength.unbind(1))
        seeds = draws["seed"].reshape(-1, 2)
        if len(seeds) == 1:  # one strength for the batch, but each example has noise of its own
            seeds = seeds + torch.arange(len(mixed), device=seeds.device)[:, None]
        factor = 1 + self.multiplicative * multiply * (2 * field.uniform(seeds[:, 1], shape) - 1)
        noise = self.additive * add * field.normal(seeds[:, 0], shape, wide)
        return Blended(mixed * factor.to(mixed.dtype) + noise.to(mixed.dtype), ratio)
