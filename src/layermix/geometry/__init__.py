"""Geometry of layers: how entangled the classes are at each mix point, and how safe mixing is.

`snnl` measures entanglement, and `SoftNearestNeighborLoss` trains with it. `intrusion` and
`interpolation_gap` measure the effect of mixing. `profile` measures all `QUANTITIES` at every layer
of a model, and `auto_weights` converts a profile to the weights of ``Mixer(at="auto")``.
"""

from layermix.geometry.criterion import SoftNearestNeighborLoss
from layermix.geometry.gap import interpolation_gap
from layermix.geometry.intrusion import intruders, intrusion
from layermix.geometry.layer import LayerFeatures
from layermix.geometry.profile import profile
from layermix.geometry.profile_result import Profile, auto_weights
from layermix.geometry.quantities import GAP_QUANTITIES, MEASURES, QUANTITIES, measure_layer
from layermix.geometry.snnl import SNNL, layer_snnl, snnl

__all__ = [
    "GAP_QUANTITIES",
    "MEASURES",
    "QUANTITIES",
    "SNNL",
    "LayerFeatures",
    "Profile",
    "SoftNearestNeighborLoss",
    "auto_weights",
    "interpolation_gap",
    "intruders",
    "intrusion",
    "layer_snnl",
    "measure_layer",
    "profile",
    "snnl",
]
