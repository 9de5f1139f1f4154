"""Geometry: how entangled are the classes at a layer, and is it safe to mix there?"""

from layermix.geometry.criterion import SoftNearestNeighborLoss
from layermix.geometry.gap import Gap, interpolation_gap
from layermix.geometry.intrusion import Intrusion, intruders, intrusion
from layermix.geometry.layer import Layer
from layermix.geometry.measures import MEASURES, Measure, Quantity
from layermix.geometry.profiles import LayerProfile, Profile, auto_weights, profile
from layermix.geometry.quantities import QUANTITIES, measured
from layermix.geometry.snnl import SNNL, layer_snnl, snnl

__all__ = [
    "MEASURES",
    "QUANTITIES",
    "SNNL",
    "Gap",
    "Intrusion",
    "Layer",
    "LayerProfile",
    "Measure",
    "Profile",
    "Quantity",
    "SoftNearestNeighborLoss",
    "auto_weights",
    "interpolation_gap",
    "intruders",
    "intrusion",
    "layer_snnl",
    "measured",
    "profile",
    "snnl",
]
