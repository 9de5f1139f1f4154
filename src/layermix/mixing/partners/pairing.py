"""The base class of the ways to choose partners, and those that need nothing: permutations.

Shapes: B examples.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from torch import Tensor

from layermix.errors import InputError


@dataclass(frozen=True)
class Pairing:
    """How partners are chosen.

    Attributes
    ----------
    needs
        What the choice depends on: ``"labels"``, ``"inputs"`` or None.
    permutation
        True if the partners are always a permutation of the batch.
    """

    needs: ClassVar[Literal["labels", "inputs"] | None] = None
    permutation: ClassVar[bool] = False

    def __call__(self, rng: np.random.Generator, size: int, values: Tensor | None) -> np.ndarray:
        """Choose a partner for each example.

        Parameters
        ----------
        rng
            Generator to draw from.
        size
            Number of examples B.
        values
            The labels or inputs that it needs, (B, ...); None if it needs nothing.

        Returns
        -------
        numpy.ndarray
            Indices of the partners, int64 (B,).
        """
        raise NotImplementedError

    def select(self, size: int, labels: object, inputs: object) -> Tensor:
        """Return the labels or the inputs of a batch, whichever it needs.

        Raises
        ------
        InputError
            If they are missing, or not one tensor of the batch.
        """
        values, found = (labels if self.needs == "labels" else inputs), "none were given"
        if isinstance(values, Tensor):
            if len(values) == size:
                return values
            found = f"those given are {tuple(values.shape)}"
        if isinstance(values, Mapping):
            found = f"several were given, {', '.join(map(repr, values))}, where one must be chosen"
        raise InputError(
            f"{type(self).__name__} chooses partners by the {self.needs} of the batch of {size}, "
            f"but {found}: call draw({size}, {self.needs}=...)"
        )


@dataclass(frozen=True)
class Permutation(Pairing):
    """A uniform permutation (Zhang et al., 2018): on average one example is its own partner."""

    permutation = True

    def __call__(self, rng: np.random.Generator, size: int, values: Tensor | None) -> np.ndarray:
        """Choose a partner for each example; see `Pairing`."""
        return rng.permutation(size)


@dataclass(frozen=True)
class Derangement(Pairing):
    """One cycle through all examples in random order: from two on, no example is its own."""

    permutation = True

    def __call__(self, rng: np.random.Generator, size: int, values: Tensor | None) -> np.ndarray:
        """Choose a partner for each example; see `Pairing`."""
        order = rng.permutation(size)
        partner = np.empty(size, dtype=np.int64)
        partner[order] = np.roll(order, 1)
        return partner
