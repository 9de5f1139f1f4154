"""Profiles: every quantity at every layer of a model, from one pass over held-out examples."""

from layermix.geometry.profiles.auto import auto_weights
from layermix.geometry.profiles.profile import Profile
from layermix.geometry.profiles.take import profile
from layermix.geometry.profiles.values import LayerProfile

__all__ = ["LayerProfile", "Profile", "auto_weights", "profile"]
