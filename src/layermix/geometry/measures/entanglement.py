"""SNNL over its chance level (Frosst, Papernot, Hinton, 2019); see `layermix.geometry.snnl`."""

from layermix.geometry.layer import Layer
from layermix.geometry.snnl import layer_snnl


def entanglement(layer: Layer) -> float:
    """Return the soft nearest neighbor loss at its best temperature, over chance."""
    return layer_snnl(layer).normalised
