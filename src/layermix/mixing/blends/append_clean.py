"""Append clean: train on the clean examples and on the mixed examples in one batch.

RegMixup (Pinto, Yang, Lim, Torr, Dokania, 2022): the loss is the cross-entropy of the clean half
plus eta times that of the mixed half. After the mix point the batch has 2B rows, clean examples
first. Use it where the whole batch passes: at the input, at blocks or at the final layer.
"""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from layermix.mixing import checks
from layermix.mixing.blends.base import Arrays, Blend, Blended, Draws
from layermix.mixing.blends.linear import Linear
from layermix.mixing.pairs import Pairs


@dataclass(frozen=True)
class AppendClean(Blend):
    """Append the examples mixed by another blend to the clean examples.

    Attributes
    ----------
    blend
        Blend of the mixed half.
    eta
        Weight of the loss of the mixed half; the clean half has weight 1.
    """

    changes_batch_size = True

    blend: Blend = field(default_factory=Linear)
    eta: float = 1.0

    def __post_init__(self) -> None:
        good = isinstance(self.blend, Blend) and not self.blend.changes_batch_size
        rule = "a blend that keeps the batch size, such as layermix.mixing.Cut()"
        checks.ensure(self, "blend", good, rule)
        checks.at_least(self, "eta")

    @property
    def moves_positions(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """True if the blend of the mixed half moves positions."""
        return self.blend.moves_positions

    @property
    def positional(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """True if the blend of the mixed half treats positions differently; see `Blend`."""
        return self.blend.positional

    def draw(self, rng: np.random.Generator, rows: tuple[int, ...], batch: int) -> Arrays:
        """Draw the random numbers of the mixed half."""
        return self.blend.draw(rng, rows, batch)

    def weight(self, ratio: Tensor, draws: Draws) -> Tensor | None:
        """Return the weight of the example's label in the mixed half."""
        return self.blend.weight(ratio, draws)

    def __call__(
        self, own: Tensor, other: Tensor, ratio: Tensor, draws: Draws, channels: int
    ) -> Blended:
        """Append mixed to clean activations: (B, ...) becomes (2B, ...)."""
        return _appended(own, self.blend(own, other, ratio, draws, channels))

    def mix_batch(self, x: Tensor, pairs: Pairs, draws: Draws, channels: int) -> Blended:
        """Append the mixed batch to the clean batch: (B, ...) becomes (2B, ...); see `Blend`."""
        return _appended(x, self.blend.mix_batch(x, pairs, draws, channels))


def _appended(own: Tensor, mixed: Blended) -> Blended:
    return mixed._replace(values=torch.cat([own, mixed.values]))
