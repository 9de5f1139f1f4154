"""Geometry: how entangled are the classes at a layer, and is it safe to mix there?"""

from layermix.geometry.intrusion import intruders
from layermix.geometry.snnl import SNNL, snnl

__all__ = ["SNNL", "intruders", "snnl"]
