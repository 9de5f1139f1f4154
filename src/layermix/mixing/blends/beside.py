"""Beside: the mixed examples come beside the clean ones, and both have a loss.

RegMixup (Pinto, Yang, Lim, Torr, Dokania, 2022): cross-entropy of the clean batch plus eta times
that of the mixed one. From the mix point on a batch of B becomes one of 2B, clean examples first;
all layers before it run once. For points after which nothing else of the batch comes in: the input,
blocks of nets that hand on one tensor, the final layer.
"""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from layermix.mixing import checks
from layermix.mixing.blends.blend import Blend, Blended, Draws
from layermix.mixing.blends.linear import Linear
from layermix.mixing.blends.pairs import Pairs


@dataclass(frozen=True)
class Beside(Blend):
    """Keep the clean examples beside those that another blend mixes.

    Attributes
    ----------
    blend
        How the mixed half is mixed.
    eta
        Weight of its loss; that of the clean half is 1.
    """

    blend: Blend = field(default_factory=Linear)
    eta: float = 1.0

    def __post_init__(self) -> None:
        good = isinstance(self.blend, Blend) and not self.blend.grows
        rule = "one that returns as many rows as it gets, such as layermix.mixing.Cut()"
        checks.require(self, "blend", good, rule)
        checks.at_least(self, "eta")

    @property
    def moves(self) -> bool:
        """Whether positions of the partner end up elsewhere: those of the other blend."""
        return self.blend.moves

    @property
    def local(self) -> bool:
        """Whether it tells positions apart: as the other blend does."""
        return self.blend.local

    @property
    def grows(self) -> bool:
        """Whether it returns more rows than the batch has: the clean ones come on top."""
        return True

    def draw(
        self, rng: np.random.Generator, rows: tuple[int, ...], batch: int
    ) -> dict[str, np.ndarray]:
        """Return what the other blend draws."""
        return self.blend.draw(rng, rows, batch)

    def weight(self, ratio: Tensor, draws: Draws) -> Tensor | None:
        """Return the weight of the own label in the mixed half."""
        return self.blend.weight(ratio, draws)

    def __call__(
        self, own: Tensor, other: Tensor, ratio: Tensor, draws: Draws, channels: int
    ) -> Blended:
        """Mix activations: (B, ...) becomes (2B, ...)."""
        return _beside(own, self.blend(own, other, ratio, draws, channels))

    def of_batch(
        self, x: Tensor, pairs: Pairs, ratio: Tensor, draws: Draws, channels: int
    ) -> Blended:
        """Mix a batch as the other blend does; see `Blend`."""
        return _beside(x, self.blend.of_batch(x, pairs, ratio, draws, channels))


def _beside(own: Tensor, mixed: Blended) -> Blended:
    return mixed._replace(values=torch.cat([own, mixed.values]))
