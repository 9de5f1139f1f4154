"""Augmentations by name: cutout, and the policies of torchvision.

Shapes: B batch, C channels, H height, W width.
"""

import functools
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from layermix.extras import require
from layermix.lab.training.environment import torch_seed

Policy = Literal["none", "cutout", "trivial", "rand", "augmix"]
_POLICIES = {"trivial": "TrivialAugmentWide", "rand": "RandAugment", "augmix": "AugMix"}


def augment(images: Tensor, policy: Policy, seed: int) -> Tensor:
    """Augment images, (B, C, H, W), each on its own.

    ``"cutout"`` replaces a square by the mean of the image (DeVries, Taylor, 2017). The others are
    policies of torchvision for uint8 images: TrivialAugmentWide (Müller, Hutter, 2021), RandAugment
    (Cubuk et al., 2020) and AugMix (Hendrycks et al., 2020), with its default settings.
    """
    if policy == "cutout":
        return cutout(images, torch.Generator(images.device).manual_seed(seed))
    change = _policy(policy)
    with torch_seed(seed):
        return torch.stack([change(image) for image in images])


def cutout(images: Tensor, generator: torch.Generator) -> Tensor:
    """Replace a square of half the height and width of each image by the image's channel means.

    Its center is uniform in the image, so that part of it may be outside.
    """
    batch, _, height, width = images.shape
    draw = torch.rand(2, batch, 1, generator=generator, device=images.device)
    inside = [
        (torch.arange(size, device=images.device) - (at * size).floor() + size // 4) // (size // 2)
        for at, size in zip(draw, (height, width), strict=True)
    ]
    hidden = (inside[0] == 0)[:, None, :, None] & (inside[1] == 0)[:, None, None, :]
    return torch.where(hidden, images.float().mean((2, 3), keepdim=True).to(images.dtype), images)


@functools.cache
def _policy(name: str) -> Callable[[Tensor], Tensor]:
    require("torchvision")
    from torchvision.transforms import v2

    return getattr(v2, _POLICIES[name])()
