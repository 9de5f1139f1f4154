"""What all references read of a plan: its ratios, its draws, its random fields."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.special import ndtri
from torch import Tensor

import layermix as lm


class Mixed(NamedTuple):
    """A mix (N, *size, C), and the weight of each of the B labels in each row, (N, B)."""

    values: Tensor
    weights: Tensor


def lams(plan: lm.Plan) -> list[float]:
    return plan.ratio.double().expand(plan.batch_size).tolist()


def drawn(plan: lm.Plan, name: str, row: int) -> Any:
    """Return what the plan drew for an example, as float64 or int."""
    value = plan.draws[name]
    own = value if plan.ratio.ndim == 0 else value[row]
    return own.double().tolist() if own.is_floating_point() else own.tolist()


def pairs(plan: lm.Plan, shares: Sequence[float]) -> Tensor:
    """Return label weights from the share of each example's own label."""
    weights = torch.zeros(plan.batch_size, plan.batch_size, dtype=torch.float64)
    for i, share in enumerate(shares):
        weights[i, i] += share
        weights[i, plan.partner[i]] += 1 - share
    return weights


# The random fields: splitmix64 of each number's place, in numpy's unsigned integers.


def finalized(z: np.ndarray) -> np.ndarray:
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def uniform(seed: int, size: tuple[int, ...]) -> np.ndarray:
    places = np.arange(1, math.prod(size) + 1, dtype=np.uint64)
    start = finalized(np.array([seed], dtype=np.uint64))
    bits = finalized(start + places * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(41)
    return ((bits + 0.5) / 2**23).reshape(size)


def normal(seed: int, size: tuple[int, ...]) -> np.ndarray:
    return ndtri(uniform(seed, size))
