"""How much: the law from which the ratio lambda of a mix is drawn.

mixup (Zhang et al., 2018) draws lambda from Beta(alpha, alpha). alpha = 1 is the uniform law;
below 1 most draws are close to 0 or 1 (little mixing), above 1 close to one half (much mixing).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

import numpy as np

from layermix.errors import InputError, brief, unknown
from layermix.mixing.checks import is_number
from layermix.mixing.schedule import Clock, Schedule, ends_of, number_of
from layermix.mixing.streams import Streams

Per = Literal["batch", "sample", "epoch"]

# The papers' values: mixup on CIFAR-10 uses alpha = 1 (Zhang et al., 2018), Manifold Mixup
# alpha = 2 (Verma et al., 2019).
INPUT_ALPHA, HIDDEN_ALPHA = 1.0, 2.0


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
        if not (is_number(self.alpha) and math.isfinite(self.alpha) and self.alpha > 0):
            raise InputError(
                f"alpha is {brief(self.alpha)}, but Beta(alpha, alpha) needs a finite alpha > 0: "
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
        if not (is_number(self.value) and 0 <= self.value <= 1):
            raise InputError(f"the ratio is {brief(self.value)}, but it must be a number in [0, 1]")

    def sample(self, rng: np.random.Generator, size: int) -> np.ndarray:
        """Return the value `size` times, float64; nothing is drawn."""
        return np.full(size, self.value)


class Amount:
    """Draws the ratios of plans: per batch, per sample or per epoch.

    Parameters
    ----------
    points
        Names of all mix points, dropped ones too: their ratios of an epoch are drawn, so that none
        shifts.
    alpha, ratio, per
        As for a planner.

    Attributes
    ----------
    of_epoch
        The ratio of each point in this epoch; empty until the first draw.
    """

    def __init__(
        self,
        points: Sequence[str],
        alpha: float | Schedule | None,
        ratio: float | Literal["uniform"] | None,
        per: Per,
    ) -> None:
        if not isinstance(per, str) or per not in get_args(Per):
            raise unknown("value of per", per, get_args(Per))
        if ratio is not None and alpha is not None:
            raise InputError(f"give alpha ({brief(alpha)}) or ratio ({brief(ratio)}), not both")
        self._alpha, self._ratio = alpha, ratio
        self._scheduled = isinstance(alpha, Schedule)
        self.per: Per = per
        self.of_epoch: dict[str, float] = {}
        self._laws = {point: self._law(point, Clock()) for point in points}
        for end in () if alpha is None else ends_of(alpha):
            Beta(number_of(end, Clock(), "alpha"))

    def draw(self, point: str, size: int, streams: Streams, clock: Clock) -> np.ndarray:
        """Draw the ratio of a step, float64: () or, per sample, (size,)."""
        if self.per == "sample":
            return self._now(point, clock).sample(streams.of("sample", clock.step), size)
        if self.per == "batch":
            return self._now(point, clock).sample(streams.of("ratio", clock.step), 1).reshape(())
        if not self.of_epoch:
            self.next_epoch(streams, clock)
        return np.asarray(self.of_epoch[point])

    def next_epoch(self, streams: Streams, clock: Clock) -> None:
        """Draw the ratios of a new epoch; nothing happens unless they are per epoch."""
        if self.per == "epoch":
            stream = streams.of("ratio", clock.epoch + clock.begun)
            self.of_epoch = {
                point: float(self._now(point, clock).sample(stream, 1)[0]) for point in self._laws
            }

    def _now(self, point: str, clock: Clock) -> RatioLaw:
        return self._law(point, clock) if self._scheduled else self._laws[point]

    def _law(self, point: str, clock: Clock) -> RatioLaw:
        if isinstance(self._ratio, str):
            if self._ratio == "uniform":
                return Beta(1.0)
            raise unknown("ratio", self._ratio, ["uniform"])
        if self._ratio is not None:
            return Fixed(self._ratio)
        if self._alpha is None:
            return Beta(INPUT_ALPHA if point == "input" else HIDDEN_ALPHA)
        if isinstance(self._alpha, Schedule):
            return Beta(number_of(self._alpha, clock, "alpha"))
        return Beta(self._alpha)
