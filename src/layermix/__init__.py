"""Mixup at any layer of any PyTorch model.

The public names of the core, which needs torch and numpy alone; experiments are in
`layermix.lab`.
"""

from layermix.attach import Capture, Mixer, MixPoint, Points, activations, points, remove_hooks
from layermix.errors import InputError, LayermixError, RunError
from layermix.geometry import Profile, SoftNearestNeighborLoss, profile, snnl
from layermix.mixing import MixedTarget, MixLayer, Plan, method, mix

__version__ = "0.1.0"

__all__ = [
    "Capture",
    "InputError",
    "LayermixError",
    "MixLayer",
    "MixPoint",
    "MixedTarget",
    "Mixer",
    "Plan",
    "Points",
    "Profile",
    "RunError",
    "SoftNearestNeighborLoss",
    "activations",
    "method",
    "mix",
    "points",
    "profile",
    "remove_hooks",
    "snnl",
]
