"""Grid: some cells of a grid are the partner's.

GridMix (Baek, Bang, Shim, 2021): positions are divided into cells, of which a share 1 - lam, chosen
at random, comes from the partner.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from layermix.mixing import checks
from layermix.mixing.blends.base import Draws
from layermix.mixing.blends.fourier import largest
from layermix.mixing.blends.mask import MaskBlend
from layermix.mixing.random_fields import draw_seeds, uniform_field


@dataclass(frozen=True)
class Grid(MaskBlend):
    """Cut along a grid.

    Attributes
    ----------
    cells
        Along each dimension; fewer where there are fewer positions.
    """

    cells: int = 4

    def __post_init__(self) -> None:
        checks.whole(self, "cells")

    def draw(
        self, rng: np.random.Generator, rows: tuple[int, ...], batch: int
    ) -> dict[str, np.ndarray]:
        """Return the seed of the choice of cells."""
        return {"seed": draw_seeds(rng, rows)}

    def mask(self, size: tuple[int, ...], other: Tensor, ratio: Tensor, draws: Draws) -> Tensor:
        """Return True in cells of the own example, (R, *size)."""
        cells = tuple(min(self.cells, n) for n in size)
        mask = largest(uniform_field(draws["seed"].reshape(-1), cells), ratio)
        for k, (count, n) in enumerate(zip(cells, size, strict=True), start=1):
            mask = mask.index_select(k, torch.arange(n, device=mask.device) * count // n)
        return mask
