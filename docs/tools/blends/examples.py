"""The two photographs in the figures of blends: small versions of scikit-learn's sample images.

Each color channel has 32 levels, so that a figure with five images is a small file.

Shapes: (3, 44, 44), floats in [0, 1].
"""

import functools

import numpy as np
import torch
from PIL import Image
from sklearn.datasets import load_sample_image
from torch import Tensor

SIDE, _LEVELS = 44, 31
_CROPS = {"china.jpg": (10, 15, 410, 415), "flower.jpg": (107, 22, 507, 422)}


@functools.cache
def photographs() -> Tensor:
    """Return the photographs of a temple and a flower, float32 (2, 3, 44, 44)."""
    return torch.stack([_small(name, box) for name, box in _CROPS.items()])


def levels(x: Tensor) -> Tensor:
    """Clip an image to [0, 1] and round it to 32 levels."""
    return (x.clamp(0, 1) * _LEVELS).round() / _LEVELS


def _small(name: str, box: tuple[int, int, int, int]) -> Tensor:
    whole = Image.fromarray(load_sample_image(name)).crop(box)
    small = whole.resize((SIDE, SIDE), Image.Resampling.BOX)
    return levels(torch.from_numpy(np.asarray(small).copy()).permute(2, 0, 1) / 255)
