"""Hooks that mix and capture activations of a model.

`Mixer` mixes in a model's own forward pass. `points` lists the points where a model can be mixed.
`activations` returns the activations at them; `FeatureCapture` also keeps their autograd graph.
`remove_hooks` removes all hooks of layermix from a model. `update_norm_stats` computes the
statistics of batch norms again after training with mixing.
"""

from layermix.hooks.capture import FeatureCapture, activations
from layermix.hooks.mixer import Mixer
from layermix.hooks.norm_stats import update_norm_stats
from layermix.hooks.points import MixPoint, Points, points
from layermix.hooks.registry import remove_hooks

__all__ = ["FeatureCapture", "MixPoint", "Mixer", "Points", "activations", "points", "remove_hooks"]
__all__ += ["update_norm_stats"]
