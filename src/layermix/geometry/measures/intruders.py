"""Intrusion as one number of a layer, over its chance level; see `layermix.geometry.intrusion`."""

import math

from layermix.geometry.intrusion import intrusion
from layermix.geometry.layer import Layer


def different_class(layer: Layer) -> float:
    """Return intrusion of mixes between classes, over chance; NaN where there is no third class."""
    found = intrusion(layer, ratios=())
    return found.different / found.chance_different if found.chance_different else math.nan


def same_class(layer: Layer) -> float:
    """Return intrusion of mixes within classes, over chance."""
    found = intrusion(layer, ratios=())
    return found.same / found.chance_same if found.chance_same else math.nan
