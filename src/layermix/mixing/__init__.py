"""Mixing: what one step mixes, drawn as a `Plan` and applied to tensors and labels; no model.

A `PlanSampler` draws plans from methods: mix points, partners (`partners/`), a ratio and a blend
(`blends/`), which may follow a schedule. A plan mixes activations, and labels into targets
(`targets/`) with the right loss. `methods` has those of the literature.
"""

from layermix.mixing.blends import (
    BLENDS,
    Aligned,
    AppendClean,
    Blend,
    Blended,
    Cut,
    Fourier,
    Grid,
    LabelWeights,
    Linear,
    MixStyle,
    MomentExchange,
    MultiMix,
    Noisy,
    Patches,
    Resize,
    Salient,
    find_blend,
    interpolate,
)
from layermix.mixing.method_choice import Prob
from layermix.mixing.method_sampler import MethodSampler, Per
from layermix.mixing.methods import METHODS, Method, find_method
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
from layermix.mixing.sampler import PlanSampler
from layermix.mixing.schedule import Clock, Ramp, Schedule, Window
from layermix.mixing.targets import (
    AppendCleanTarget,
    MixedTarget,
    MultiMixTarget,
    Remix,
    Target,
    Targets,
)

__all__ = [
    "BLENDS",
    "METHODS",
    "PARTNERS",
    "Aligned",
    "AppendClean",
    "AppendCleanTarget",
    "Balanced",
    "Blend",
    "Blended",
    "Clock",
    "Cut",
    "Derangement",
    "Farthest",
    "Fourier",
    "Grid",
    "LabelKernel",
    "LabelWeights",
    "Linear",
    "Method",
    "MethodSampler",
    "MixStyle",
    "MixedTarget",
    "MomentExchange",
    "MultiMix",
    "MultiMixTarget",
    "Nearest",
    "Noisy",
    "OtherClass",
    "Pairing",
    "Patches",
    "Per",
    "Permutation",
    "Plan",
    "PlanSampler",
    "Prob",
    "Ramp",
    "Remix",
    "Resize",
    "Salient",
    "SameClass",
    "Schedule",
    "Target",
    "Targets",
    "Transport",
    "Window",
    "find_blend",
    "find_method",
    "find_pairing",
    "interpolate",
]
