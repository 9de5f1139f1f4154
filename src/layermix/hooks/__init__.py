"""Attach: a plan meets a model.

`Mixer` mixes in a model's own forward pass; `points` lists where a model can be mixed;
`activations` reads what flows there, `FeatureCapture` keeps it with its gradient; `remove_hooks`
cleans a model of all their hooks.
"""

from layermix.hooks.capture import FeatureCapture, activations
from layermix.hooks.mixer import Mixer
from layermix.hooks.points import MixPoint, Points, points
from layermix.hooks.registry import remove_hooks

__all__ = ["FeatureCapture", "MixPoint", "Mixer", "Points", "activations", "points", "remove_hooks"]
