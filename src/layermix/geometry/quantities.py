"""All numbers of a layer that a profile holds: its measures, and what a mix does to the network."""

import math
from collections.abc import Iterable

from layermix.errors import InputError, unknown
from layermix.geometry.gap import Gap
from layermix.geometry.layer import Layer
from layermix.geometry.measures import MEASURES, Quantity
from layermix.geometry.measures.measure import POSITIVE

OF_GAP = {
    "gap": Quantity(
        "interpolation gap",
        "gap",
        "KL of the mixed forward from the softmax of mixed logits, in nats; 0 if linear",
        "low",
        POSITIVE,
    ),
    "gap_loss": Quantity(
        "loss of the mix",
        "loss",
        "cross-entropy of the mixed forward with the mixed labels, in nats",
        "low",
        POSITIVE,
    ),
}

QUANTITIES: dict[str, Quantity] = {**MEASURES, **OF_GAP}


def choose(names: str | Iterable[str] | None) -> tuple[str, ...]:
    """Return names of `QUANTITIES` in their order, all of them for None.

    Raises
    ------
    InputError
        For a name that is none of them, or no name.
    """
    if names is None:
        return tuple(QUANTITIES)
    several = isinstance(names, Iterable) and not isinstance(names, str)
    wanted = list(names) if several else [names]
    for name in wanted:
        if not isinstance(name, str) or name not in QUANTITIES:
            raise unknown("quantity", name, QUANTITIES)
    if not wanted:
        raise InputError("quantities is empty: name one or more, or leave it out")
    return tuple(name for name in QUANTITIES if name in wanted)


def measured(
    layer: Layer, gap: Gap | None = None, quantities: Iterable[str] = tuple(QUANTITIES)
) -> dict[str, float]:
    """Return quantities of a layer by name; what the gap tells is NaN without one."""
    of_gap = {
        "gap": gap.kl if gap else math.nan,
        "gap_loss": gap.cross_entropy if gap else math.nan,
    }
    return {
        name: of_gap[name] if name in of_gap else MEASURES[name].compute(layer)
        for name in quantities
    }
