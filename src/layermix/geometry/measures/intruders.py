"""Intrusion as one number of a layer, over its chance level; see `layermix.geometry.intrusion`."""

from layermix.geometry.intrusion import intrusion
from layermix.geometry.layer import Layer


def different_class(layer: Layer) -> float:
    """Return intrusion of mixes between classes, over chance; 0 where there is no third class."""
    found = intrusion(layer, ratios=())
    return found.different / found.chance_different if found.chance_different else 0.0


def same_class(layer: Layer) -> float:
    """Return intrusion of mixes within classes, over chance."""
    found = intrusion(layer, ratios=())
    return found.same / found.chance_same if found.chance_same else 0.0
