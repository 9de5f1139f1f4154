"""Random masks: noise, grid cells or blocks select the positions of the partner.

FMix (Harris et al., 2020): the spectrum of the noise falls as frequency^-decay. The example keeps
the share lam of positions with the largest noise. GridMix (Baek, Bang, Shim, 2021): a random share
1 - lam of the cells of a grid comes from the partner.

PatchUp (Faramarzi, Amini, Badrinaaraayanan, Verma, Chandar, 2020), for hidden maps: blocks as in
DropBlock come from the partner (hard), or are mixed linearly (soft). Labels are weighted by the
changed share. This equals the paper's loss if the loss is linear in the target.

Shapes: R rows, 1 if the batch has one ratio, else B; `size` the positions.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from layermix.mixing import checks
from layermix.mixing.blends.base import Arrays, Draws
from layermix.mixing.blends.mask import MaskBlend
from layermix.mixing.random_fields import draw_seeds, normal_field, uniform_field
from layermix.mixing.tensors import along

_POOLS = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}


@dataclass(frozen=True)
class SeededMask(MaskBlend):
    """Base class of masks from a random field, whose seed is stored in the plan."""

    def draw(self, rng: np.random.Generator, rows: tuple[int, ...], batch: int) -> Arrays:
        """Draw the seed of the field."""
        return {"seed": draw_seeds(rng, rows)}


@dataclass(frozen=True)
class Fourier(SeededMask):
    """Cut along the contours of random low-frequency noise.

    Attributes
    ----------
    decay
        Exponent by which amplitudes fall with frequency; the paper uses 3.
    """

    decay: float = 3.0

    def __post_init__(self) -> None:
        checks.at_least(self, "decay")

    def draw(self, rng: np.random.Generator, rows: tuple[int, ...], batch: int) -> Arrays:
        """Draw the seeds of the real and the imaginary part of the noise's spectrum."""
        return super().draw(rng, (*rows, 2), batch)

    def mask(self, size: tuple[int, ...], other: Tensor, ratio: Tensor, draws: Draws) -> Tensor:
        """Return a mask (R, *size) that is True where the noise is largest."""
        frequency = _frequencies(size, ratio.device)
        seeds = draws["seed"].reshape(-1, 2).unbind(1)
        real, imaginary = (normal_field(seed, tuple(frequency.shape)) for seed in seeds)
        spectrum = torch.complex(real, imaginary) / frequency**self.decay
        noise = torch.fft.irfftn(spectrum, s=size, dim=tuple(range(1, 1 + len(size))))
        return _largest(noise, ratio)


@dataclass(frozen=True)
class Grid(SeededMask):
    """Replace random cells of a grid by the partner's.

    Attributes
    ----------
    cells
        Number of cells along each dimension, at most the number of positions.
    """

    cells: int = 4

    def __post_init__(self) -> None:
        checks.whole(self, "cells")

    def mask(self, size: tuple[int, ...], other: Tensor, ratio: Tensor, draws: Draws) -> Tensor:
        """Return a mask (R, *size) that is True in the grid cells that come from the example."""
        cells = tuple(min(self.cells, n) for n in size)
        mask = _largest(uniform_field(draws["seed"].reshape(-1), cells), ratio)
        for k, (count, n) in enumerate(zip(cells, size, strict=True), start=1):
            mask = mask.index_select(k, torch.arange(n, device=mask.device) * count // n)
        return mask


@dataclass(frozen=True)
class Patches(SeededMask):
    """Replace random blocks by the partner's, or mix linearly inside them.

    Attributes
    ----------
    soft
        Mix linearly inside the blocks, instead of replacing them.
    share
        Expected share of the positions in blocks.
    block
        Side of a block in positions, rounded down to an odd number that fits the map.
    """

    soft: bool = True
    share: float = 0.5
    block: int = 7

    def __post_init__(self) -> None:
        checks.share(self, "share")
        checks.whole(self, "block")

    def mask(self, size: tuple[int, ...], other: Tensor, ratio: Tensor, draws: Draws) -> Tensor:
        """Return a mask (R, *size): 1 outside the blocks; inside, the ratio if `soft`, else 0."""
        lam = along(ratio, 1 + len(size))
        altered = self._blocks(size, draws["seed"].reshape(-1)) & (lam < 1)
        return torch.where(altered, lam, 1.0) if self.soft else ~altered

    def _blocks(self, size: tuple[int, ...], seeds: Tensor) -> Tensor:
        side = min(self.block, *size)
        side -= 1 - side % 2
        # DropBlock (Ghiasi, Lin, Le, 2018): rate of centers whose blocks cover the share.
        rate = 1 - (1 - self.share) ** (1 / side ** len(size))
        centers = (uniform_field(seeds, size) < rate).float()
        return _POOLS[len(size)](centers[:, None], side, 1, side // 2)[:, 0] > 0


def _largest(values: Tensor, share: Tensor) -> Tensor:
    """Return a mask that is True at a share of each row, its largest values; `share` is (R,)."""
    flat = values.flatten(1)
    rank = flat.argsort(dim=1, descending=True, stable=True).argsort(dim=1, stable=True)
    count = (share * flat.shape[1]).round()
    return (rank < count[:, None]).view(values.shape)


def _frequencies(size: tuple[int, ...], device: torch.device) -> Tensor:
    """Return the norms of the frequencies of a real FFT, with a small positive number for zero."""
    axes = [torch.fft.fftfreq(n, device=device) for n in size[:-1]]
    axes.append(torch.fft.rfftfreq(size[-1], device=device))
    grid = torch.meshgrid(*axes, indexing="ij")
    return torch.stack(grid).square().sum(0).sqrt().clamp_min(1 / max(size))
