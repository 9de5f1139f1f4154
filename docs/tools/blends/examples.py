"""The two photographs that blends are shown on: scikit-learn's sample images, made small.

A color keeps 32 levels: enough for the eye, and a picture that holds five such images stays small.

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
    """Return a temple and a flower, float32 (2, 3, 44, 44)."""
    return torch.stack([_small(name, box) for name, box in _CROPS.items()])


def levels(x: Tensor) -> Tensor:
    """Round an image to the levels that pictures keep, clipped to [0, 1]."""
    return (x.clamp(0, 1) * _LEVELS).round() / _LEVELS


def _small(name: str, box: tuple[int, int, int, int]) -> Tensor:
    whole = Image.fromarray(load_sample_image(name)).crop(box)
    small = whole.resize((SIDE, SIDE), Image.Resampling.BOX)
    return levels(torch.from_numpy(np.asarray(small).copy()).permute(2, 0, 1) / 255)
