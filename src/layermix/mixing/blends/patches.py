"""Patches: blocks of the partner all over a map, hard or soft.

PatchUp (Faramarzi, Amini, Badrinaaraayanan, Verma, Chandar, 2020), for hidden maps: blocks as those
of DropBlock come from the partner (hard), or are the linear mix of both (soft). What the paper's
loss terms say is, for a loss that is linear in the target, the label of the share really altered.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from layermix.mixing import checks
from layermix.mixing.blends.base import Draws
from layermix.mixing.blends.mask import MaskBlend
from layermix.mixing.random_fields import draw_seeds, uniform_field
from layermix.mixing.tensors import along

_POOLS = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}


@dataclass(frozen=True)
class Patches(MaskBlend):
    """Put blocks of the partner into each example.

    Attributes
    ----------
    soft
        Mix linearly inside the blocks, instead of replacing them.
    share
        Of the positions, expected to be altered.
    block
        Side of a block in positions; the next odd number below where it is even or the map small.
    """

    soft: bool = True
    share: float = 0.5
    block: int = 7

    def __post_init__(self) -> None:
        checks.share(self, "share")
        checks.whole(self, "block")

    def draw(
        self, rng: np.random.Generator, rows: tuple[int, ...], batch: int
    ) -> dict[str, np.ndarray]:
        """Return the seed of the blocks' centers."""
        return {"seed": draw_seeds(rng, rows)}

    def mask(self, size: tuple[int, ...], other: Tensor, ratio: Tensor, draws: Draws) -> Tensor:
        """Return 1 outside the blocks, inside 0 (hard) or the ratio (soft), (R, *size)."""
        lam = along(ratio, 1 + len(size))
        altered = self._blocks(size, draws["seed"].reshape(-1)) & (lam < 1)
        return torch.where(altered, lam, 1.0) if self.soft else ~altered

    def _blocks(self, size: tuple[int, ...], seeds: Tensor) -> Tensor:
        """Return True inside the blocks, (R, *size)."""
        side = min(self.block, *size)
        side -= 1 - side % 2
        # DropBlock (Ghiasi, Lin, Le, 2018): as many centers as cover the share, overlaps counted.
        rate = 1 - (1 - self.share) ** (1 / side ** len(size))
        centers = (uniform_field(seeds, size) < rate).float()
        return _POOLS[len(size)](centers[:, None], side, 1, side // 2)[:, 0] > 0
