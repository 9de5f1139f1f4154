"""The base class of the ways to choose partners, and what several of them need.

Shapes: B examples.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch
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


def classes_of(values: Tensor | None) -> np.ndarray:
    """Return labels as class indices, (B,).

    Raises
    ------
    InputError
        For labels that are not integer classes.
    """
    assert values is not None
    if values.is_floating_point() or values.ndim != 1:
        raise InputError(
            "partners by class need integer labels of shape (B,), but the labels are "
            f"{values.dtype} of shape {tuple(values.shape)}: hand labels=... to draw"
        )
    return values.cpu().numpy()


def squared_distances(values: Tensor | None) -> np.ndarray:
    """Return the squared Euclidean distances of all pairs, float64 (B, B), inputs flattened.

    Raises
    ------
    InputError
        For inputs that are integers, such as token ids, which have no distance.
    """
    assert values is not None
    if not values.is_floating_point():
        raise InputError(
            f"partners by distance need floating point, but they would be chosen by {values.dtype} "
            f"of shape {tuple(values.shape)}: hand inputs=..., such as embeddings, to draw"
        )
    flat = centered(values)
    # Direct differences: the form by a matrix product loses near pairs beside a far one.
    direct = torch.cdist(flat, flat, compute_mode="donot_use_mm_for_euclid_dist")
    return direct.square().cpu().numpy()


def centered(values: Tensor) -> Tensor:
    """Return numbers less their mean, float64 (B, d): far from zero float32 has no digits left."""
    flat = values.detach().reshape(len(values), -1)
    flat = (flat.cpu() if flat.device.type == "mps" else flat).double()  # mps has no float64
    return flat - flat.mean(0)
