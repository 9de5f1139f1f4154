"""What a way to choose partners is, and what it may have to know.

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
        What it must see of the batch: nothing, its labels or its inputs.
    """

    needs: ClassVar[Literal["labels", "inputs"] | None] = None

    def __call__(self, rng: np.random.Generator, size: int, seen: Tensor | None) -> np.ndarray:
        """Choose a partner for each example.

        Parameters
        ----------
        rng
            The stream to draw from.
        size
            The number of examples B.
        seen
            What it needs, (B, ...): labels or inputs.

        Returns
        -------
        numpy.ndarray
            Partners, int64 (B,).
        """
        raise NotImplementedError

    def look(self, of_batch: Mapping[str, object], size: int) -> Tensor | None:
        """Return what it needs of a batch, or None where it needs nothing.

        Parameters
        ----------
        of_batch
            Labels and inputs, by name.
        size
            The number of examples B.

        Raises
        ------
        InputError
            When that was not given, or is not one tensor of the batch.
        """
        if self.needs is None:
            return None
        seen, has = of_batch[self.needs], "none were given"
        if isinstance(seen, Tensor):
            if len(seen) == size:
                return seen
            has = f"those given are {tuple(seen.shape)}"
        if isinstance(seen, Mapping):
            has = f"several were given, {', '.join(map(repr, seen))}, where one must be chosen"
        raise InputError(
            f"{type(self).__name__} chooses partners by the {self.needs} of the batch of {size}, "
            f"but {has}: call draw({size}, {self.needs}=...)"
        )


def classes_of(seen: Tensor | None) -> np.ndarray:
    """Return labels as numbers of classes, (B,).

    Raises
    ------
    InputError
        For labels that are not integer classes.
    """
    assert seen is not None
    if seen.is_floating_point() or seen.ndim != 1:
        raise InputError(
            "partners by class need integer labels of shape (B,), but the labels are "
            f"{seen.dtype} of shape {tuple(seen.shape)}: hand labels=... to draw"
        )
    return seen.cpu().numpy()


def squared_distances(seen: Tensor | None) -> np.ndarray:
    """Return the squared Euclidean distances of all pairs, float64 (B, B), inputs flattened.

    Raises
    ------
    InputError
        For inputs that are integers, such as token ids, which have no distance.
    """
    assert seen is not None
    if not seen.is_floating_point():
        raise InputError(
            f"partners by distance need floating point, but they would be chosen by {seen.dtype} "
            f"of shape {tuple(seen.shape)}: hand inputs=..., such as embeddings, to draw"
        )
    flat = centred(seen)
    # Direct differences: the form by a matrix product loses near pairs beside a far one.
    direct = torch.cdist(flat, flat, compute_mode="donot_use_mm_for_euclid_dist")
    return direct.square().cpu().numpy()


def centred(seen: Tensor) -> Tensor:
    """Return numbers less their mean, float64 (B, d): far from zero float32 has no digits left."""
    flat = seen.detach().reshape(len(seen), -1)
    flat = (flat.cpu() if flat.device.type == "mps" else flat).double()  # mps has no float64
    return flat - flat.mean(0)
