"""Mixing without a model: plans are drawn for each step and applied to tensors and labels.

A `PlanSampler` draws plans from methods. A method has mix points, partners (`partners/`), a ratio
and a blend (`blends/`); settings may follow a schedule. A plan mixes activations, and mixes labels
into targets (`targets/`) with the right loss. `methods` has the methods of the literature.
"""

from layermix.mixing import blends, partners, targets
from layermix.mixing.blends import *  # noqa: F403 - all of its public names
from layermix.mixing.method_choice import Prob
from layermix.mixing.method_sampler import MethodSampler, Per
from layermix.mixing.methods import METHODS, Method, find_method
from layermix.mixing.partners import *  # noqa: F403
from layermix.mixing.plan import Plan
from layermix.mixing.sampler import PlanSampler
from layermix.mixing.schedule import Clock, Ramp, Schedule, Window
from layermix.mixing.targets import *  # noqa: F403

__all__ = [
    "METHODS",
    "Clock",
    "Method",
    "MethodSampler",
    "Per",
    "Plan",
    "PlanSampler",
    "Prob",
    "Ramp",
    "Schedule",
    "Window",
    "find_method",
]
__all__ += blends.__all__
__all__ += partners.__all__
__all__ += targets.__all__
