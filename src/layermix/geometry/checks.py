"""What the soft nearest neighbor loss refuses, as a measure and as a criterion."""

import math

from torch import Tensor

from layermix.errors import InputError


def check_features(features: Tensor, labels: Tensor) -> None:
    """Refuse all but floating-point features (N, ...) with integer classes (N,)."""
    if not features.is_floating_point():
        raise InputError(f"features must be floating point, but are {features.dtype}")
    if labels.ndim != 1 or labels.is_floating_point():
        raise InputError(
            f"labels must be integer classes of shape (N,), but are {labels.dtype} of shape "
            f"{tuple(labels.shape)}"
        )
    if features.ndim < 2 or len(features) != len(labels):
        raise InputError(
            f"features must have shape (N, ...) with N = {len(labels)} as the labels, but have "
            f"{tuple(features.shape)}"
        )


def check_finite(features: Tensor) -> None:
    """Refuse features that are NaN or infinite, and name the first row that has such."""
    bad = ~features.isfinite().flatten(1).all(1)
    if bad.any():
        first = int(bad.nonzero()[0])
        raise InputError(
            f"{int(bad.sum())} of {len(bad)} examples have features that are NaN or infinite, "
            f"the first at row {first}: leave them out, or look for the layer that made them"
        )


def check_temperature(temperature: Tensor | float | None) -> float | None:
    """Return a temperature as a number; refuse one that is not finite and above 0."""
    if temperature is None:
        return None
    value = float(temperature)
    if not (math.isfinite(value) and value > 0):
        raise InputError(f"the temperature is {value!r}, but must be finite and > 0")
    return value
