"""Between what values lie: Student-t intervals are symmetric, and know no bounds."""

import math
from dataclasses import replace

from layermix.reporting.statistics.stats import Estimate

Bounds = tuple[float, float]

ANY: Bounds = (-math.inf, math.inf)
_ROUNDING = 1e-9


def cut(found: Estimate, bounds: Bounds) -> Estimate:
    """Return an estimate whose interval ends where values must."""
    if found.low is None or found.high is None:
        return found
    return replace(found, low=max(found.low, bounds[0]), high=min(found.high, bounds[1]))


def beyond(found: Estimate, bounds: Bounds) -> bool:
    """Tell whether an interval reaches where no value can be."""
    if found.low is None or found.high is None:
        return False
    return found.low < bounds[0] - _ROUNDING or found.high > bounds[1] + _ROUNDING
