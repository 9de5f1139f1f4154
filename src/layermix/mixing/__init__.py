"""Mixing: tensors in, tensors out; knows no model.

One grammar: *where* (`choice`) x *with whom* (`partners`) x *how much* (`ratio`) x *how* (`blends`)
x *when* (`schedule`) gives a `Plan`, which mixes activations and labels (`targets`). A `Planner`
draws plans; `mix` carries one out.
"""

from layermix.mixing.blends import (
    BLENDS,
    Aligned,
    Beside,
    Blend,
    Blended,
    Cut,
    Exchange,
    Fourier,
    Grid,
    Linear,
    Many,
    Noisy,
    Patches,
    Resize,
    Salient,
    Style,
    find_blend,
    interpolate,
)
from layermix.mixing.methods import METHODS, Method, method
from layermix.mixing.partners import (
    PARTNERS,
    Balanced,
    Derangement,
    Farthest,
    LabelKernel,
    Nearest,
    OtherClass,
    Pairing,
    Permutation,
    SameClass,
    Transport,
    find_pairing,
)
from layermix.mixing.plan import Plan
from layermix.mixing.planner import Planner
from layermix.mixing.ratio import Beta, Fixed, Per, RatioLaw
from layermix.mixing.schedule import Clock, Ramp, Schedule, Window
from layermix.mixing.targets import (
    BesideTarget,
    ManyTarget,
    MixedTarget,
    Remix,
    Target,
    Targets,
)

__all__ = [
    "BLENDS",
    "METHODS",
    "PARTNERS",
    "Aligned",
    "Balanced",
    "Beside",
    "BesideTarget",
    "Beta",
    "Blend",
    "Blended",
    "Clock",
    "Cut",
    "Derangement",
    "Exchange",
    "Farthest",
    "Fixed",
    "Fourier",
    "Grid",
    "LabelKernel",
    "Linear",
    "Many",
    "ManyTarget",
    "Method",
    "MixedTarget",
    "Nearest",
    "Noisy",
    "OtherClass",
    "Pairing",
    "Patches",
    "Per",
    "Permutation",
    "Plan",
    "Planner",
    "Ramp",
    "RatioLaw",
    "Remix",
    "Resize",
    "Salient",
    "SameClass",
    "Schedule",
    "Style",
    "Target",
    "Targets",
    "Transport",
    "Window",
    "find_blend",
    "find_pairing",
    "interpolate",
    "method",
]
