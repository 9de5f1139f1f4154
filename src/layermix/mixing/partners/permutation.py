"""Partners that look at nothing: a permutation of the batch (Zhang et al., 2018)."""

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from layermix.mixing.partners.base import Pairing


@dataclass(frozen=True)
class Permutation(Pairing):
    """A uniform permutation: on average one example is its own partner."""

    permutation = True

    def __call__(self, rng: np.random.Generator, size: int, values: Tensor | None) -> np.ndarray:
        """Choose a partner for each example; see `Pairing`."""
        return rng.permutation(size)


@dataclass(frozen=True)
class Derangement(Pairing):
    """One cycle through all examples in random order: nobody is alone, from two on."""

    permutation = True

    def __call__(self, rng: np.random.Generator, size: int, values: Tensor | None) -> np.ndarray:
        """Choose a partner for each example; see `Pairing`."""
        order = rng.permutation(size)
        partner = np.empty(size, dtype=np.int64)
        partner[order] = np.roll(order, 1)
        return partner
