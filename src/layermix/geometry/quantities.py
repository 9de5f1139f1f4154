"""All quantities of a layer: their names, headings, meanings and functions.

To add a measure, write a function of a layer and add a row to `MEASURES`. Profiles, reports and
tests then include it.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from layermix.errors import InputError, unknown
from layermix.geometry import measures
from layermix.geometry.gap import Gap
from layermix.geometry.layer import LayerFeatures

POSITIVE, SHARE = (0.0, math.inf), (0.0, 1.0)


@dataclass(frozen=True)
class Quantity:
    """A quantity that can be measured at a layer, and how to interpret it.

    `heading` is its name in reports, and `short` an abbreviation of at most seven characters.
    `compute` takes a `LayerFeatures` or a `Gap`, and returns a value within `bounds`.
    Better separated classes or safer mixing give higher values if `higher_is_better`, else lower.
    """

    heading: str
    short: str
    meaning: str
    compute: Callable[[Any], float]
    higher_is_better: bool = False
    bounds: tuple[float, float] = POSITIVE

    @property
    def arrow(self) -> str:
        """An up arrow if higher values are better, else a down arrow."""
        return "↑" if self.higher_is_better else "↓"


MEASURES = {
    "snnl": Quantity(
        "SNNL / chance",
        "SNNL",
        "soft nearest neighbor loss over chance: 1 entangled, 0 separate",
        measures.snnl_over_chance,
    ),
    "intrusion": Quantity(
        "intrusion",
        "intr≠",
        "mixes of two classes whose nearest neighbor is of a third, over chance",
        measures.intrusion_between,
    ),
    "intrusion_same": Quantity(
        "intrusion, same class",
        "intr=",
        "mixes within a class whose nearest neighbor is of another, over chance",
        measures.intrusion_within,
    ),
    "knn": Quantity("kNN accuracy", "kNN", "5 neighbors, leave-one-out", measures.knn, True, SHARE),
    "nearest_centroid": Quantity(
        "centroid accuracy", "NCC", "nearest, leave-one-out", measures.nearest_centroid, True, SHARE
    ),
    "probe": Quantity("linear probe", "probe", "held-out accuracy", measures.probe, True, SHARE),
    "separation": Quantity(
        "separation R²", "R²", "by cosines; 1 separate", measures.separation, True, (-math.inf, 1.0)
    ),
    "nc1": Quantity("NC1", "NC1", "variability within over between classes", measures.nc1),
    "fuzziness": Quantity(
        "Tr(Sw Sb⁺)", "Tr", "separation fuzziness, each class by its size", measures.fuzziness
    ),
    "cka": Quantity("CKA with labels", "CKA", "linear, 0 to 1", measures.cka, True, SHARE),
    "spectrum": Quantity(
        "variance off the leading direction",
        "off1st",
        "share of a class's variance, low if classes are flat",
        measures.spectrum,
        bounds=SHARE,
    ),
}
"""Quantities that are computed from the features and classes of a layer, by name."""

GAP_QUANTITIES = {
    "gap": Quantity(
        "interpolation gap",
        "gap",
        "KL of the mixed forward pass from the softmax of mixed logits, in nats; 0 if linear",
        lambda gap: gap.kl,
    ),
    "gap_loss": Quantity(
        "loss of the mix",
        "loss",
        "cross-entropy of the mixed forward pass with the mixed labels, in nats",
        lambda gap: gap.cross_entropy,
    ),
}
QUANTITIES = {**MEASURES, **GAP_QUANTITIES}
"""All quantities by name."""


def quantity_names(names: str | Iterable[str] | None) -> tuple[str, ...]:
    """Return the names of quantities in the order of `QUANTITIES`; None means all of them."""
    if names is None:
        return tuple(QUANTITIES)
    several = isinstance(names, Iterable) and not isinstance(names, str)
    wanted = list(names) if several else [names]
    for name in wanted:
        if not isinstance(name, str) or name not in QUANTITIES:
            raise unknown("quantity", name, QUANTITIES)
    if not wanted:
        raise InputError("quantities is empty: pass one or more names, or None for all")
    return tuple(name for name in QUANTITIES if name in wanted)


def measure_layer(
    layer: LayerFeatures, gap: Gap | None = None, quantities: Iterable[str] = tuple(QUANTITIES)
) -> dict[str, float]:
    """Return the quantities of a layer by name; ``gap`` and ``gap_loss`` are NaN without `gap`.

    Examples
    --------
    >>> import torch
    >>> layer = LayerFeatures(torch.eye(4)[[0, 0, 1, 1]], torch.tensor([0, 0, 1, 1]))
    >>> measure_layer(layer, quantities=["knn", "gap"])
    {'knn': 0.0, 'gap': nan}
    """
    found = dict.fromkeys(quantities, math.nan)
    for name in found:
        if (source := gap if name in GAP_QUANTITIES else layer) is not None:
            found[name] = QUANTITIES[name].compute(source)
    return found
