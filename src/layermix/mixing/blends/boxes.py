"""Boxes: replace a box of each example by a part of the partner, or by the scaled partner.

CutMix (Yun et al., 2019): the box has sides sqrt(1 - lam) of the map (cube root in video) and a
uniform center, and is clipped at the border. Labels are weighted by area. In one dimension the box
is a span of round((1 - lam) L) positions, which is not clipped.

SaliencyMix (Uddin, Monira, Shin, Chung, Bae, 2021): the box is around the most salient position
of the partner. Saliency is the difference of the mean over channels from its surroundings, summed
over several window sizes (Montabone, Soto, 2010).

ResizeMix (Qin et al., 2020): the partner is scaled to sides sqrt(1 - lam), at a uniform place.

Shapes: B batch, C channels; R rows, 1 if the batch has one ratio, else B; `size` the positions.
"""

import functools
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from layermix.mixing.blends.base import Arrays, Blend, Blended, Draws
from layermix.mixing.blends.mask import MaskBlend, apply_mask, kept_share, position_size

_MOST_DIMS = 3  # maximum number of position dimensions


@dataclass(frozen=True)
class Cut(MaskBlend):
    """Replace a box of each example by the same box of the partner."""

    def draw(self, rng: np.random.Generator, rows: tuple[int, ...], batch: int) -> Arrays:
        """Draw the center of the box, uniform in [0, 1) along each dimension."""
        return {"center": rng.random((*rows, _MOST_DIMS), dtype=np.float32)}

    def mask(self, size: tuple[int, ...], other: Tensor, ratio: Tensor, draws: Draws) -> Tensor:
        """Return a mask (R, *size) that is False inside the box and True elsewhere."""
        return _outside(draws["center"], 1 - ratio, size)


@dataclass(frozen=True)
class Salient(MaskBlend):
    """Replace a box by the partner's box around its most salient position; for maps."""

    position_dims = (2,)

    def mask(self, size: tuple[int, ...], other: Tensor, ratio: Tensor, draws: Draws) -> Tensor:
        """Return a mask (B, H, W) that is False inside the box and True elsewhere."""
        peak = _saliency(other).flatten(1).argmax(1)
        place = torch.stack([torch.zeros_like(peak), peak // size[1], peak % size[1]], 1)
        center = (place + 0.5) / torch.tensor([1, *size], device=other.device)
        return _outside(center, (1 - ratio).expand(len(other)), size)


@dataclass(frozen=True)
class Resize(Blend):
    """Paste the scaled partner into each example; for maps."""

    positional = True
    moves_positions = True

    def draw(self, rng: np.random.Generator, rows: tuple[int, ...], batch: int) -> Arrays:
        """Draw the relative position of the box, uniform in [0, 1) along each dimension."""
        return {"place": rng.random((*rows, 2), dtype=np.float32)}

    def __call__(
        self, own: Tensor, other: Tensor, ratio: Tensor, draws: Draws, channels: int
    ) -> Blended:
        """Mix maps, (B, C, H, W) or (B, H, W, C); see `Blend`."""
        size = position_size(own, channels, dims=(2,))
        place, side = draws["place"].reshape(-1, 2), (1 - ratio.reshape(-1, 1)).sqrt()
        length = torch.tensor(size, dtype=torch.float32, device=place.device)
        start, stop = _inside(place, side, length)  # (R, 2)
        small = _shrunk(other.movedim(channels, 1), start, stop).movedim(1, channels)
        inside = [_stretch(start[:, k], stop[:, k], n, k, 2) for k, n in enumerate(size)]
        mask = ~(inside[0] & inside[1])
        return Blended(apply_mask(own, small, mask, channels), kept_share(mask), mask)


def _outside(center: Tensor, share: Tensor, size: tuple[int, ...]) -> Tensor:
    """Return a mask (R, *size) that is False inside a box around a center.

    The box has a share (R,) of all positions, if it is not clipped at the border. The center is in
    [0, 1), (3,) or (R, 3); only its last ``len(size)`` numbers are used.
    """
    center = center.reshape(-1, _MOST_DIMS)[:, _MOST_DIMS - len(size) :]
    if len(size) == 1:
        start, stop = _inside(center[:, 0], share, size[0])
        return ~_stretch(start, stop, size[0], 0, 1)
    side = share ** (1 / len(size))
    parts = [_beyond(center[:, k], side, n, k, len(size)) for k, n in enumerate(size)]
    return functools.reduce(torch.bitwise_or, parts)


def _beyond(center: Tensor, side: Tensor, length: int, dim: int, dims: int) -> Tensor:
    """Return a mask, False along `dim` in a span of relative length `side`; its other sizes are 1.

    The span is around a relative center, both (R,), and clipped at the border.
    """
    middle = (center * length).floor().clamp_max(length - 1)
    half = (0.5 * length * side).floor()
    place = torch.arange(0.5, length, device=center.device)
    beyond = (place - middle[:, None]).abs() >= half[:, None]  # (R, length)
    return beyond.view(-1, *[length if d == dim else 1 for d in range(dims)])


def _stretch(start: Tensor, stop: Tensor, length: int, dim: int, dims: int) -> Tensor:
    """Return a mask, True along `dim` from `start` to `stop`, both (R,); its other sizes are 1."""
    place = torch.arange(length, device=start.device)
    between = (place >= start[:, None]) & (place < stop[:, None])  # (R, length)
    return between.view(-1, *[length if d == dim else 1 for d in range(dims)])


def _inside(place: Tensor, side: Tensor, length: int | Tensor) -> tuple[Tensor, Tensor]:
    """Return start and stop of a span that is inside the border, at relative position `place`."""
    count = (side * length).round()
    start = (place * (length - count + 1)).floor().minimum(length - count)
    return start, start + count


def _saliency(maps: Tensor) -> Tensor:
    """Return the saliency of each position, float32 (B, H, W), of maps (B, C, H, W)."""
    gray = maps.detach().float().mean(1, keepdim=True)
    found, side = torch.zeros_like(gray), 3
    while side <= max(3, min(gray.shape[2:])):
        around = F.avg_pool2d(gray, side, 1, side // 2, count_include_pad=False)
        found = found + (gray - around).abs()
        side = 2 * side + 1
    return found[:, 0]


def _shrunk(maps: Tensor, start: Tensor, stop: Tensor) -> Tensor:
    """Scale each map into its box, bilinearly; values outside the box have no meaning."""
    axes = []
    for k, n in enumerate(maps.shape[2:]):
        place = torch.arange(n, device=maps.device, dtype=torch.float32)
        inside = (place - start[:, k : k + 1] + 0.5) / (stop - start)[:, k : k + 1].clamp_min(1)
        axes.append(2 * inside - 1)  # -1 to 1 over the whole partner
    grid = torch.stack(torch.broadcast_tensors(axes[1][:, None], axes[0][:, :, None]), dim=-1)
    grid = grid.to(maps.dtype).expand(len(maps), -1, -1, -1)
    return F.grid_sample(maps, grid, "bilinear", "border", align_corners=False)
