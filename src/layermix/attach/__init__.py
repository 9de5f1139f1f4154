"""Attach: a plan meets a model.

`Mixer` mixes in a model's own forward pass; `points` lists where a model can be mixed;
`activations` reads what flows there, `Capture` keeps it with its gradient; `remove_hooks` cleans a
model of all their hooks.
"""

from layermix.attach.activations import activations
from layermix.attach.capture import Capture
from layermix.attach.mixer import Mixer
from layermix.attach.mixpoint import MixPoint, Points
from layermix.attach.points import points
from layermix.attach.registry import remove_hooks

__all__ = ["Capture", "MixPoint", "Mixer", "Points", "activations", "points", "remove_hooks"]
