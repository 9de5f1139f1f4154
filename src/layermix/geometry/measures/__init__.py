"""Measures of a layer's geometry: each a function of a `Layer`, in a file with formula and source.

A new measure is a file with a function and a line in `MEASURES`; profiles, reports and tests take
it up by themselves.
"""

import math

from layermix.geometry.measures.alignment import cka
from layermix.geometry.measures.centres import centres
from layermix.geometry.measures.collapse import fuzziness, nc1
from layermix.geometry.measures.entanglement import entanglement
from layermix.geometry.measures.intruders import different_class, same_class
from layermix.geometry.measures.measure import POSITIVE, SHARE, Measure, Quantity
from layermix.geometry.measures.neighbours import neighbours
from layermix.geometry.measures.probe import linear_probe
from layermix.geometry.measures.separation import separation
from layermix.geometry.measures.spectrum import spectrum

__all__ = ["MEASURES", "Measure", "Quantity"]

MEASURES: dict[str, Measure] = {
    "snnl": Measure(
        "SNNL / chance",
        "SNNL",
        "soft nearest neighbor loss over chance: 1 entangled, 0 apart",
        "low",
        POSITIVE,
        entanglement,
    ),
    "intrusion": Measure(
        "intrusion",
        "intr≠",
        "mixes of two classes whose nearest neighbour is of a third, over chance",
        "low",
        POSITIVE,
        different_class,
    ),
    "intrusion_same": Measure(
        "intrusion, same class",
        "intr=",
        "mixes within a class whose nearest neighbour is of another, over chance",
        "low",
        POSITIVE,
        same_class,
    ),
    "knn": Measure("kNN accuracy", "kNN", "leave-one-out, 5 neighbours", "high", SHARE, neighbours),
    "centres": Measure(
        "centre accuracy", "centre", "nearest class centre, leave-one-out", "high", SHARE, centres
    ),
    "probe": Measure(
        "linear probe", "probe", "accuracy on held-out rows", "high", SHARE, linear_probe
    ),
    "separation": Measure(
        "separation R²", "R²", "of cosine distances; 1 apart", "high", (-math.inf, 1.0), separation
    ),
    "nc1": Measure(
        "NC1", "NC1", "within-class over between-class variability", "low", POSITIVE, nc1
    ),
    "fuzziness": Measure(
        "Tr(Sw Sb⁺)",
        "Tr",
        "separation fuzziness, each class by its size",
        "low",
        POSITIVE,
        fuzziness,
    ),
    "cka": Measure("CKA with labels", "CKA", "linear, 0 to 1", "high", SHARE, cka),
    "spectrum": Measure(
        "variance off the leading direction",
        "off1st",
        "share of a class's variance, low where classes are flat",
        "low",
        SHARE,
        spectrum,
    ),
}
