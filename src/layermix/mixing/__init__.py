"""Mixing: tensors in, tensors out; knows no model.

One grammar: *where* (`choice`) x *with whom* (`partners`) x *how much* (`ratio`) x *how* (`blends`)
x *when* (`schedule`) gives a `Plan`, which mixes activations and labels (`targets`). A `Planner`
draws plans; `mix` carries one out.
"""

from layermix.mixing.blends import BLENDS, Blend, Blended, find_blend, interpolate
from layermix.mixing.blends.aligned import Aligned
from layermix.mixing.blends.beside import Beside
from layermix.mixing.blends.cut import Cut
from layermix.mixing.blends.fourier import Fourier
from layermix.mixing.blends.grid import Grid
from layermix.mixing.blends.linear import Linear
from layermix.mixing.blends.many import Many
from layermix.mixing.blends.moments import Exchange, Style
from layermix.mixing.blends.noisy import Noisy
from layermix.mixing.blends.patches import Patches
from layermix.mixing.blends.resize import Resize
from layermix.mixing.blends.salient import Salient
from layermix.mixing.mix import MixLayer, mix
from layermix.mixing.partners import PARTNERS, Pairing, find_pairing
from layermix.mixing.partners.anyone import Derangement, Permutation
from layermix.mixing.partners.by_class import Balanced, OtherClass, SameClass
from layermix.mixing.partners.by_distance import Farthest, LabelKernel, Nearest, Transport
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
    "MixLayer",
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
    "mix",
]
