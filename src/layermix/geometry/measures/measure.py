"""What a number of a layer is called, what it says, and how a measure computes it."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from layermix.geometry.layer import Layer

POSITIVE = (0.0, math.inf)
SHARE = (0.0, 1.0)


@dataclass(frozen=True)
class Quantity:
    """A number of a layer and how to read it.

    Attributes
    ----------
    heading
        Its name in reports and pictures.
    short
        The same where there is little room, seven characters at most.
    meaning
        What it says, with its limits.
    apart
        Whether classes that are apart, or a layer that is safe to mix, make it ``"low"`` or
        ``"high"``.
    bounds
        Between what its values lie.
    """

    heading: str
    short: str
    meaning: str
    apart: Literal["low", "high"]
    bounds: tuple[float, float]

    @property
    def arrow(self) -> str:
        """Where the quantity goes as classes come apart, for the heading of a column or panel."""
        return "↓" if self.apart == "low" else "↑"


@dataclass(frozen=True)
class Measure(Quantity):
    """A quantity that a layer's features and classes alone determine.

    Attributes
    ----------
    compute
        The value of a layer.
    """

    compute: Callable[[Layer], float]
