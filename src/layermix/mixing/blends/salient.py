"""Salient: the box is cut where the partner has the most to show.

SaliencyMix (Uddin, Monira, Shin, Chung, Bae, 2021): the box of CutMix lies around the most salient
position of the partner. Saliency is how much a position differs from its surroundings, summed over
their sizes (Montabone, Soto, 2010), of the mean over channels.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from layermix.mixing.blends.base import Draws
from layermix.mixing.blends.cut import box
from layermix.mixing.blends.mask import MaskBlend


@dataclass(frozen=True)
class Salient(MaskBlend):
    """Cut a box around the partner's most salient position; for maps."""

    position_dims = (2,)

    def mask(self, size: tuple[int, ...], other: Tensor, ratio: Tensor, draws: Draws) -> Tensor:
        """Return False inside the box, True elsewhere, (B, H, W)."""
        peak = saliency(other).flatten(1).argmax(1)
        place = torch.stack([torch.zeros_like(peak), peak // size[1], peak % size[1]], 1)
        center = (place + 0.5) / torch.tensor([1, *size], device=other.device)
        return ~box(center, (1 - ratio).expand(len(other)), size)


def saliency(maps: Tensor) -> Tensor:
    """Return how much each position stands out, float32 (B, H, W), of maps (B, C, H, W)."""
    grey = maps.detach().float().mean(1, keepdim=True)
    found, side = torch.zeros_like(grey), 3
    while side <= max(3, min(grey.shape[2:])):
        around = F.avg_pool2d(grey, side, 1, side // 2, count_include_pad=False)
        found = found + (grey - around).abs()
        side = 2 * side + 1
    return found[:, 0]
