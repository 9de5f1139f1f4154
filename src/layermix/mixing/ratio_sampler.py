"""Draw the mixing ratio from Beta(alpha, alpha), or use a fixed ratio.

mixup (Zhang et al., 2018) draws lambda from Beta(alpha, alpha). It is uniform for alpha = 1. For
alpha < 1 most draws are close to 0 or 1 (little mixing), for alpha > 1 close to 0.5 (much mixing).
"""

import math

import numpy as np

from layermix.errors import InputError, brief, unknown
from layermix.mixing.checks import is_number
from layermix.mixing.schedule import Clock, Schedule, number_at, range_of

Ratio = np.ndarray | float

# The papers' values: mixup on CIFAR-10 uses alpha = 1 (Zhang et al., 2018), Manifold Mixup
# alpha = 2 (Verma et al., 2019).
INPUT_ALPHA, HIDDEN_ALPHA = 1.0, 2.0


class RatioSampler:
    """Draw ratios in [0, 1]; the default alpha is 1 at the input and 2 at other mix points.

    Raises an `InputError` unless `alpha` is finite and > 0, or `ratio` is ``"uniform"`` or a number
    in [0, 1]; or if both are given.
    """

    def __init__(self, alpha: float | Schedule | None, ratio: float | str | None) -> None:
        if ratio is not None and alpha is not None:
            raise InputError(f"give alpha ({brief(alpha)}) or ratio ({brief(ratio)}), not both")
        self._alpha, self.fixed = alpha, None
        if isinstance(ratio, str):
            if ratio != "uniform":
                raise unknown("ratio", ratio, ["uniform"])
            self._alpha = 1.0
        elif ratio is not None:
            if not (is_number(ratio) and 0 <= ratio <= 1):
                raise InputError(f"the ratio is {brief(ratio)}, but must be a number in [0, 1]")
            self.fixed = float(ratio)
        for value in [] if alpha is None else [alpha, *range_of(alpha)]:
            first = _checked_alpha(number_at(value, Clock(), "alpha"))
            self._alpha = alpha if isinstance(alpha, Schedule) else first

    def draw(
        self, point: str, clock: Clock, rng: np.random.Generator, size: int | None = None
    ) -> Ratio:
        """Draw one ratio, or an array of `size` ratios, float64."""
        if self.fixed is not None:
            return self.fixed if size is None else np.full(size, self.fixed)
        alpha = self._alpha
        if alpha is None:
            alpha = INPUT_ALPHA if point == "input" else HIDDEN_ALPHA
        elif type(alpha) is not float:
            alpha = _checked_alpha(number_at(alpha, clock, "alpha"))
        return rng.beta(alpha, alpha, size)


def _checked_alpha(alpha: float) -> float:
    if math.isfinite(alpha) and alpha > 0:
        return alpha
    raise InputError(
        f"alpha is {brief(alpha)}, but Beta(alpha, alpha) needs a finite alpha > 0: use 1.0 for "
        "uniform ratios, or do not mix at all"
    )
