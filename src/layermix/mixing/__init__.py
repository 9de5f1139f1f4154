"""Mixing: tensors in, tensors out; knows no model.

A `Plan` says where, how much and with whom; `mix` carries it out on a tensor, `MixedTarget` on
the labels.
"""

from layermix.mixing.blend import MixLayer, interpolate, mix
from layermix.mixing.plan import Plan
from layermix.mixing.planner import Per, Planner
from layermix.mixing.ratio import Beta, Fixed, RatioLaw
from layermix.mixing.target import MixedTarget

__all__ = [
    "Beta",
    "Fixed",
    "MixLayer",
    "MixedTarget",
    "Per",
    "Plan",
    "Planner",
    "RatioLaw",
    "interpolate",
    "mix",
]
