"""Data with known geometry."""

import numpy as np
import torch
from torch import Tensor

from layermix.geometry import MEASURES, LayerFeatures

CLASSES, EACH, D = 5, 40, 12


def gaussians(apart: float, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return one isotropic unit Gaussian per class, with centers at distance `apart` from zero."""
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.arange(CLASSES * EACH) % CLASSES)
    x = rng.normal(size=(len(y), D)) + apart * np.eye(CLASSES, D)[y]
    return torch.from_numpy(x), torch.from_numpy(y)


def shuffled() -> tuple[Tensor, Tensor]:
    x, y = gaussians(6.0)
    return x, y[torch.randperm(len(y), generator=torch.Generator().manual_seed(0))]


def collapsed() -> tuple[Tensor, Tensor]:
    """Return one point per class, at equal distances."""
    _, y = gaussians(0.0)
    return torch.eye(CLASSES, D, dtype=torch.float64)[y], y


def rings() -> tuple[Tensor, Tensor]:
    """Return concentric rings in the plane, which are thin compared with their distances."""
    rng = np.random.default_rng(0)
    y = np.arange(CLASSES * EACH) % CLASSES
    radius, angle = 1 + y + 0.02 * rng.normal(size=len(y)), rng.uniform(0, 2 * np.pi, len(y))
    x = np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1)
    return torch.from_numpy(x), torch.from_numpy(y)


def layer(data: tuple[Tensor, Tensor]) -> LayerFeatures:
    return LayerFeatures(*data)


def value(name: str, data: tuple[Tensor, Tensor]) -> float:
    """Return the value of a measure on the data."""
    return MEASURES[name].compute(layer(data))
