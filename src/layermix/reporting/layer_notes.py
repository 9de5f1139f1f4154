"""What one must know to read the geometry of layers rightly: what is so by construction."""

import math

from layermix.experiments.training.evaluate import MIXED, RATIO
from layermix.geometry.quantities import GAP_QUANTITIES, QUANTITIES
from layermix.reporting.formatting import heading, listed
from layermix.reporting.statistics.bounds import beyond
from layermix.reporting.statistics.rank_correlation import BySeed
from layermix.reporting.statistics.stats import estimate

Geometry = dict[str, dict[str, BySeed]]
"""By quantity, by layer, by seed."""


def layer_notes(geometry: Geometry) -> list[str]:
    """Return the notes on what was measured of the layers at the end of training."""
    fixed = (
        "The same examples are measured at every seed: intervals leave out what another choice of "
        "examples would change, which the standard errors of layermix profile tell."
    )
    own = [*_mixed(geometry), *_input(geometry), *_linear(geometry), *_cut(geometry)]
    return [fixed, *own] if geometry else []


def fixed_at_input(geometry: Geometry) -> bool:
    """Tell whether several seeds have the same values at the input, those of the gap aside."""
    own = [
        list(by.get("input", {}).values()) for q, by in geometry.items() if q not in GAP_QUANTITIES
    ]
    return bool(own) and all(len(values) > 1 and _equal(values) for values in own)


def _equal(values: list[float]) -> bool:
    return all(math.isclose(value, values[0], rel_tol=1e-9) for value in values)


def _mixed(geometry: Geometry) -> list[str]:
    """Tell on what a study measures the gap; `layermix.profile` has other ratios."""
    gap = [heading(quantity) for quantity in GAP_QUANTITIES if quantity in geometry]
    if not gap:
        return []
    return [
        f"{listed(gap)[0].upper()}{listed(gap)[1:]}: of {MIXED} of the examples at most, mixed at "
        f"the ratio {RATIO}."
    ]


def _input(geometry: Geometry) -> list[str]:
    if not fixed_at_input(geometry):
        return []
    note = (
        "At the input the values are the same at every seed, and their intervals have no width: "
        "its features are the images themselves, of the same examples each time, so that no "
        "training changes them."
    )
    gap = [heading(q) for q in GAP_QUANTITIES if q in geometry]
    if not gap:
        return [note]
    one = len(gap) == 1
    differ = f"{'differs' if one else 'differ'} there, for {'it depends' if one else 'they depend'}"
    return [f"{note} Only {listed(gap)} {differ} on the whole net."]


def _linear(geometry: Geometry) -> list[str]:
    gaps = {p: by_seed.values() for p, by_seed in geometry.get("gap", {}).items()}
    none = [point for point, values in gaps.items() if values and not any(values)]
    if not none:
        return []
    return [
        f"The {heading('gap')} is zero by construction at {listed(none)}: what follows there is "
        "linear, and takes the mix of two examples to the mix of what it makes of both."
    ]


def _cut(geometry: Geometry) -> list[str]:
    """Tell of intervals that would reach where no value can be."""
    found = []
    for quantity, by_layer in geometry.items():
        bounds = QUANTITIES[quantity].bounds
        layers = [p for p, own in by_layer.items() if beyond(estimate(list(own.values())), bounds)]
        if layers:
            found.append(f"{heading(quantity)} ({listed(layers)})")
    if not found:
        return []
    return [
        "Some intervals are cut at the least or greatest possible value, as at 0: "
        f"{listed(found, most=len(found))}. Student-t intervals are symmetric and know no bounds."
    ]
