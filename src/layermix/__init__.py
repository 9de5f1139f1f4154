"""Mixup at any layer of any PyTorch model.

These are the public names of the core, which only needs torch and numpy. Experiments are in
`layermix.lab`.
"""

from layermix.errors import InputError, LayermixError, RunError
from layermix.functional import MixLayer, mix, mixup
from layermix.geometry import Profile, SoftNearestNeighborLoss, profile, snnl
from layermix.hooks import (
    FeatureCapture,
    Mixer,
    MixPoint,
    Points,
    activations,
    points,
    remove_hooks,
    update_norm_stats,
)
from layermix.mixing import MixedTarget, Plan
from layermix.mixing.methods import methods

__version__ = "0.1.0"

__all__ = [
    "FeatureCapture",
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
    "methods",
    "mix",
    "mixup",
    "points",
    "profile",
    "remove_hooks",
    "snnl",
    "update_norm_stats",
]
