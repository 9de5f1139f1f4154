"""Random tensors without a generator: the same seed and shape give the same numbers everywhere.

A hook must be a pure function of the plan, in compiled graphs, recomputed passes and on any device.
So noise and masks are computed from a hash of each element's index: splitmix64 (Steele, Lea, Flood,
2014), in integer arithmetic that wraps. Shapes: R rows, each with a seed.
"""

import math

import numpy as np
import torch
from torch import Tensor

_INCREMENT = 0x9E3779B97F4A7C15 - 2**64  # as int64
_FIRST, _SECOND = 0xBF58476D1CE4E5B9 - 2**64, 0x94D049BB133111EB - 2**64
_BITS = 23  # with the added half, the most that a float32 represents exactly


def draw_seeds(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Draw the seeds of random fields, int64 of this shape."""
    return rng.integers(2**62, size=shape)


def uniform_field(seed: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return uniform numbers in (0, 1), float32 (R, *shape), from seeds, int64 (R,)."""
    index = torch.arange(1, 1 + math.prod(shape), device=seed.device)
    if torch.compiler.is_compiling():  # Inductor's integers wrap only if they depend on a tensor
        index = index + (seed & 0)[:, None]
    bits = _hashed(_hashed(seed)[:, None] + index * _INCREMENT)  # (R, count)
    top = _shifted(bits, 64 - _BITS).to(torch.float32)
    return ((top + 0.5) / 2**_BITS).view(-1, *shape)


def normal_field(
    seed: Tensor, shape: tuple[int, ...], dtype: torch.dtype = torch.float32
) -> Tensor:
    """Return standard normal numbers, (R, *shape), as the inverse CDF of uniform numbers."""
    return torch.special.ndtri(uniform_field(seed, shape).to(dtype))


def _hashed(z: Tensor) -> Tensor:
    z = (z ^ _shifted(z, 30)) * _FIRST
    z = (z ^ _shifted(z, 27)) * _SECOND
    return z ^ _shifted(z, 31)


def _shifted(z: Tensor, bits: int) -> Tensor:
    """Shift int64 bits to the right and fill with zeros, not with copies of the sign bit."""
    return (z >> bits) & ((1 << (64 - bits)) - 1)
