"""Profiles: every quantity at every layer of a model, from one pass over held-out examples."""

from layermix.geometry.profiles.profile import LayerProfile, Profile
from layermix.geometry.profiles.take import measured, profile

__all__ = ["LayerProfile", "Profile", "measured", "profile"]
