"""Resize: the whole partner, made smaller, is pasted into the own example.

ResizeMix (Qin et al., 2020): a cut box may show nothing of what the partner's label says; the
partner scaled to sides sqrt(1 - lam) shows all of it. The place is uniform, wholly inside.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from layermix.mixing.blends.base import Blend, Blended, Draws
from layermix.mixing.blends.cut import span
from layermix.mixing.blends.mask import apply_mask, kept_share, position_size


@dataclass(frozen=True)
class Resize(Blend):
    """Paste the partner at a smaller size."""

    positional = True
    moves_positions = True

    def draw(
        self, rng: np.random.Generator, rows: tuple[int, ...], batch: int
    ) -> dict[str, np.ndarray]:
        """Return the place, uniform in [0, 1) along each dimension."""
        return {"place": rng.random((*rows, 2), dtype=np.float32)}

    def __call__(
        self, own: Tensor, other: Tensor, ratio: Tensor, draws: Draws, channels: int
    ) -> Blended:
        """Mix maps, (B, C, H, W) or (B, H, W, C); see `Blend`."""
        size = position_size(own, channels, dims=(2,))
        start, stop = _corners(draws["place"].reshape(-1, 2), 1 - ratio.reshape(-1), size)  # (R, 2)
        small = _shrunk(other.movedim(channels, 1), start, stop).movedim(1, channels)
        inside = [span(start[:, k], stop[:, k], n, k, 2) for k, n in enumerate(size)]
        mask = ~(inside[0] & inside[1])
        return Blended(apply_mask(own, small, mask, channels), kept_share(mask), mask)


def _corners(place: Tensor, share: Tensor, size: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Return the first and the last + 1 row and column of the pasted partner, (R, 2)."""
    length = torch.tensor(size, dtype=torch.float32, device=place.device)
    sides = (share.sqrt()[:, None] * length).round()
    start = (place * (length - sides + 1)).floor().minimum(length - sides)
    return start, start + sides


def _shrunk(maps: Tensor, start: Tensor, stop: Tensor) -> Tensor:
    """Return each map scaled into its box, bilinearly; what stands outside the box is not used."""
    b, _, h, w = maps.shape
    axes = []
    for k, n in ((0, h), (1, w)):
        place = torch.arange(n, device=maps.device, dtype=torch.float32)
        inside = (place - start[:, k : k + 1] + 0.5) / (stop - start)[:, k : k + 1].clamp_min(1)
        axes.append((2 * inside - 1).expand(b, n))  # -1 to 1 over the whole partner
    grid = torch.stack(
        [axes[1][:, None, :].expand(b, h, w), axes[0][:, :, None].expand(b, h, w)], dim=-1
    )
    return F.grid_sample(maps, grid.to(maps.dtype), "bilinear", "border", align_corners=False)
