"""Partners by class: from another class, from the same class, or from all classes equally often.

Mixing between classes regularizes the labels; mixing within a class is plain data augmentation.
`Balanced` chooses the partners of Balanced-MixUp (Galdran, Carneiro, González Ballester, 2021). The
paper draws them from the whole training set, and draws the weight of the balanced example from
Beta(alpha, 1). A mixer draws them from the batch, and the weight of the other example from
Beta(alpha, alpha). Both weights are uniform at alpha = 1.

An example with a negative label, such as -100, has no known class. It is never chosen by class; its
partner is any example, or itself for `SameClass`.
"""

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from layermix.errors import InputError
from layermix.mixing.partners.pairing import Pairing


@dataclass(frozen=True)
class OtherClass(Pairing):
    """Choose an example of another class, or any example if the batch has only one class."""

    needs = "labels"

    def __call__(self, rng: np.random.Generator, size: int, values: Tensor | None) -> np.ndarray:
        """Choose a partner for each example; see `Pairing`."""
        labels = _classes_of(values)
        known = labels >= 0
        return _choice_of(rng, (labels[:, None] != labels) & known & known[:, None])


@dataclass(frozen=True)
class SameClass(Pairing):
    """Choose another example of the same class, or the example itself if it is the only one."""

    needs = "labels"

    def __call__(self, rng: np.random.Generator, size: int, values: Tensor | None) -> np.ndarray:
        """Choose a partner for each example; see `Pairing`."""
        labels = _classes_of(values)
        allowed = (labels[:, None] == labels) & (labels >= 0)
        np.fill_diagonal(allowed, allowed.sum(1) <= 1)
        return _choice_of(rng, allowed)


@dataclass(frozen=True)
class Balanced(Pairing):
    """Choose partners from all classes equally often, so that rare classes are mixed more often."""

    needs = "labels"

    def __call__(self, rng: np.random.Generator, size: int, values: Tensor | None) -> np.ndarray:
        """Choose a partner for each example; see `Pairing`."""
        labels = _classes_of(values)
        _, place, counts = np.unique(labels, return_inverse=True, return_counts=True)
        share = (labels >= 0) / counts[place]
        if not share.any():
            return rng.integers(size, size=size)
        return rng.choice(size, size=size, p=share / share.sum())


def _classes_of(values: Tensor | None) -> np.ndarray:
    """Return labels as a numpy array (B,); raise an `InputError` unless they are integers."""
    assert values is not None
    if values.is_floating_point() or values.ndim != 1:
        raise InputError(
            "partners by class need integer labels of shape (B,), but the labels are "
            f"{values.dtype} of shape {tuple(values.shape)}: pass labels=... to draw()"
        )
    return values.cpu().numpy()


def _choice_of(rng: np.random.Generator, allowed: np.ndarray) -> np.ndarray:
    """For each row, draw one of the allowed columns, or any column if none is allowed."""
    keys = rng.random(allowed.shape)
    return np.where(allowed, keys, keys - 1).argmax(1)
