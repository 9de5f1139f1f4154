"""Cut: a box of the partner takes the place of the own example's.

CutMix (Yun et al., 2019) for images and maps: a box with sides sqrt(1 - lam) of the whole, around a
uniform center, clipped at the border; the label follows the area that was really cut. In three
dimensions (video) the sides are the cube root; in one (tokens, signals) it is a span of
round((1 - lam) L) positions that lies wholly inside.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from layermix.mixing.blends.base import Draws
from layermix.mixing.blends.mask import MaskBlend

_MOST = 3  # dimensions that positions have


@dataclass(frozen=True)
class Cut(MaskBlend):
    """Put a box of the partner into each example."""

    def draw(
        self, rng: np.random.Generator, rows: tuple[int, ...], batch: int
    ) -> dict[str, np.ndarray]:
        """Return the center of the box, uniform in [0, 1) along each dimension."""
        return {"center": rng.random((*rows, _MOST), dtype=np.float32)}

    def mask(self, size: tuple[int, ...], other: Tensor, ratio: Tensor, draws: Draws) -> Tensor:
        """Return False inside the box, True elsewhere, (R, *size)."""
        return ~box(draws["center"], 1 - ratio, size)


def box(center: Tensor, share: Tensor, size: tuple[int, ...]) -> Tensor:
    """Return True inside a box, False elsewhere, (R, *size).

    Parameters
    ----------
    center
        Uniform numbers in [0, 1), shape (3,) or (R, 3); those of the last dimensions count.
    share
        Of all positions, that the box holds where it is not clipped, (R,).
    size
        Of the positions.
    """
    center = center.reshape(-1, _MOST)[:, _MOST - len(size) :]
    side = share ** (1 / len(size))
    ends = _inside if len(size) == 1 else _clipped
    found = torch.ones(len(share), *[1] * len(size), dtype=torch.bool, device=share.device)
    for k, length in enumerate(size):
        start, stop = ends(center[:, k], side, length)
        found = found & span(start, stop, length, k, len(size))
    return found


def span(start: Tensor, stop: Tensor, length: int, dim: int, dims: int) -> Tensor:
    """Return True from start to stop (R,) along one of the dimensions of positions.

    The others have size 1, so that spans along several dimensions make a box with ``&``.
    """
    place = torch.arange(length, device=start.device)
    between = (place >= start[:, None]) & (place < stop[:, None])  # (R, length)
    return between.view(-1, *[length if d == dim else 1 for d in range(dims)])


def _clipped(center: Tensor, side: Tensor, length: int) -> tuple[Tensor, Tensor]:
    """Return both ends of a box along a dimension, clipped at the border."""
    middle = (center * length).floor().clamp_max(length - 1)
    half = (0.5 * side * length).floor()
    return (middle - half).clamp_min(0), (middle + half).clamp_max(length)


def _inside(place: Tensor, side: Tensor, length: int) -> tuple[Tensor, Tensor]:
    """Return both ends of a span that lies wholly inside."""
    count = (side * length).round()
    start = (place * (length - count + 1)).floor().minimum(length - count)
    return start, start + count
