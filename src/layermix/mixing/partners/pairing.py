"""The base class of pairings (rules to choose partners), and two pairings that are permutations."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from torch import Tensor

from layermix.errors import InputError


@dataclass(frozen=True)
class Pairing:
    """Base class of pairings, which choose a partner for each example.

    Attributes
    ----------
    needs
        ``"labels"`` or ``"inputs"`` if the choice depends on them, else None.
    permutation
        True if the partners are always a permutation of the batch.
    """

    needs: ClassVar[Literal["labels", "inputs"] | None] = None
    permutation: ClassVar[bool] = False

    def __call__(self, rng: np.random.Generator, size: int, values: Tensor | None) -> np.ndarray:
        """Return the index of a partner for each of B = `size` examples, int64 (B,).

        `values` are the labels or inputs that the pairing needs, (B, ...), or None.
        """
        raise NotImplementedError

    def select(self, size: int, labels: object, inputs: object) -> Tensor:
        """Return the labels or the inputs that the pairing needs, or raise an `InputError`."""
        values, found = (labels if self.needs == "labels" else inputs), "none were given"
        if isinstance(values, Tensor):
            if len(values) == size:
                return values
            found = f"those given are {tuple(values.shape)}"
        if isinstance(values, Mapping):
            found = f"several were given ({', '.join(map(repr, values))}), and only one is allowed"
        raise InputError(
            f"{type(self).__name__} chooses partners by the {self.needs} of the batch of {size}, "
            f"but {found}: call draw({size}, {self.needs}=...)"
        )


@dataclass(frozen=True)
class Permutation(Pairing):
    """Draw a uniform permutation (Zhang et al., 2018); some examples may be their own partners."""

    permutation = True

    def __call__(self, rng: np.random.Generator, size: int, values: Tensor | None) -> np.ndarray:
        """Choose a partner for each example; see `Pairing`."""
        return rng.permutation(size)


@dataclass(frozen=True)
class Derangement(Pairing):
    """Draw a random cycle; in a batch of two or more, no example is its own partner."""

    permutation = True

    def __call__(self, rng: np.random.Generator, size: int, values: Tensor | None) -> np.ndarray:
        """Choose a partner for each example; see `Pairing`."""
        order = rng.permutation(size)
        partner = np.empty(size, dtype=np.int64)
        partner[order] = np.roll(order, 1)
        return partner
