"""Measures of a layer's geometry: each a function of a `Layer`, in a file with formula and source.

A new measure is a file with a function and a line in `MEASURES`; profiles, reports and tests take
it up by themselves.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from layermix.geometry.layer import Layer
from layermix.geometry.measures.alignment import cka
from layermix.geometry.measures.centres import centres
from layermix.geometry.measures.collapse import fuzziness, nc1
from layermix.geometry.measures.entanglement import entanglement
from layermix.geometry.measures.intruders import different_class, same_class
from layermix.geometry.measures.neighbours import neighbours
from layermix.geometry.measures.probe import linear_probe
from layermix.geometry.measures.separation import separation
from layermix.geometry.measures.spectrum import spectrum

__all__ = ["MEASURES", "Measure"]


@dataclass(frozen=True)
class Measure:
    """A measure and how to read it.

    Attributes
    ----------
    compute
        The value of a layer.
    heading
        Its name in tables and pictures.
    meaning
        What it says, with its limits.
    apart
        Whether classes that are apart make it ``"low"`` or ``"high"``.
    """

    compute: Callable[[Layer], float]
    heading: str
    meaning: str
    apart: Literal["low", "high"]


MEASURES: dict[str, Measure] = {
    "snnl": Measure(
        entanglement, "SNNL / chance", "soft nearest neighbor loss over chance: 1 entangled", "low"
    ),
    "intrusion": Measure(
        different_class,
        "intrusion",
        "mixes of two classes whose nearest neighbour is of a third, over chance",
        "low",
    ),
    "intrusion_same": Measure(
        same_class,
        "intrusion, same class",
        "mixes within a class whose nearest neighbour is of another, over chance",
        "low",
    ),
    "knn": Measure(neighbours, "kNN accuracy", "leave-one-out, 5 neighbours", "high"),
    "centres": Measure(centres, "centre accuracy", "nearest class centre, leave-one-out", "high"),
    "probe": Measure(linear_probe, "linear probe", "accuracy on held-out rows", "high"),
    "separation": Measure(separation, "separation R²", "of cosine distances; 1 apart", "high"),
    "nc1": Measure(nc1, "NC1", "within-class over between-class variability", "low"),
    "fuzziness": Measure(fuzziness, "Tr(Sw Sb⁺)", "separation fuzziness", "low"),
    "cka": Measure(cka, "CKA with labels", "linear, 0 to 1", "high"),
    "spectrum": Measure(
        spectrum, "variance off the leading direction", "within classes; low where flat", "low"
    ),
}
