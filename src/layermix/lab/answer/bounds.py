"""Between what values lie: Student-t intervals are symmetric, and know no bounds."""

import math
from dataclasses import replace

from layermix.lab.answer.stats import Estimate

Bounds = tuple[float, float]

ANY: Bounds = (-math.inf, math.inf)
POSITIVE: Bounds = (0.0, math.inf)
SHARE: Bounds = (0.0, 1.0)
_ROUNDING = 1e-9

OF_LAYERS: dict[str, Bounds] = {
    "snnl": POSITIVE,
    "intrusion": POSITIVE,
    "intrusion_same": POSITIVE,
    "knn": SHARE,
    "centres": SHARE,
    "probe": SHARE,
    "separation": (-math.inf, 1.0),
    "nc1": POSITIVE,
    "fuzziness": POSITIVE,
    "cka": SHARE,
    "spectrum": SHARE,
    "gap": POSITIVE,
    "gap_loss": POSITIVE,
}
"""The bounds of each of `QUANTITIES`."""


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
