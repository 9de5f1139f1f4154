"""How much: the law from which the ratio lambda of a mix is drawn.

mixup (Zhang et al., 2018) draws lambda from Beta(alpha, alpha). alpha = 1 is the uniform law;
below 1 most draws are close to 0 or 1 (little mixing), above 1 close to one half (much mixing).
"""

import math
import numbers
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from layermix.errors import InputError


class RatioLaw(Protocol):
    """Anything that draws ratios in [0, 1] from a generator it is handed."""

    def sample(self, rng: np.random.Generator, size: int) -> np.ndarray:
        """Draw `size` ratios, float64 in [0, 1]."""
        ...


@dataclass(frozen=True)
class Beta:
    """Beta(alpha, alpha), by numpy's exact sampler. `Beta(1.0)` is uniform on [0, 1]."""

    alpha: float

    def __post_init__(self) -> None:
        if not (_is_number(self.alpha) and math.isfinite(self.alpha) and self.alpha > 0):
            raise InputError(
                f"alpha is {self.alpha!r}, but Beta(alpha, alpha) needs a finite alpha > 0: "
                "use 1.0 for uniform ratios, or leave mixing out for none"
            )

    def sample(self, rng: np.random.Generator, size: int) -> np.ndarray:
        """Draw `size` ratios, float64 in [0, 1]."""
        return rng.beta(self.alpha, self.alpha, size)


@dataclass(frozen=True)
class Fixed:
    """The same ratio at every draw."""

    value: float

    def __post_init__(self) -> None:
        if not (_is_number(self.value) and 0 <= self.value <= 1):
            raise InputError(f"the ratio is {self.value!r}, but it must be a number in [0, 1]")

    def sample(self, rng: np.random.Generator, size: int) -> np.ndarray:
        """Return the value `size` times, float64; nothing is drawn."""
        return np.full(size, self.value)


def _is_number(value: object) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)
