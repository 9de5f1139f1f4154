"""What the soft nearest neighbor loss refuses, as a measure and as a criterion."""

import math

from torch import Tensor

from layermix.errors import InputError, brief


def check_features(features: Tensor, labels: Tensor) -> None:
    """Refuse all but floating-point features (N, ...) with integer classes (N,)."""
    for name, value in (("features", features), ("labels", labels)):
        if not isinstance(value, Tensor):
            raise InputError(
                f"the {name} are a {type(value).__name__}, but must be a tensor: "
                f"torch.as_tensor({name})"
            )
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


def labeled(features: Tensor, labels: Tensor, ignore_index: int) -> tuple[Tensor, Tensor]:
    """Return features and labels without the examples whose label is ignored."""
    keep = labels != ignore_index
    return (features, labels) if keep.all() else (features[keep], labels[keep])


def check_finite(features: Tensor) -> None:
    """Refuse features that are NaN or infinite, and name the first row that has such."""
    if found := not_finite(features):
        raise InputError(f"{found}: leave them out, or look for the layer that made them")


def not_finite(features: Tensor) -> str | None:
    """Return which examples have features that are NaN or infinite; None where none has."""
    bad = ~features.isfinite().flatten(1).all(1)
    if not bad.any():
        return None
    count, first = int(bad.sum()), int(bad.nonzero()[0])
    return (
        f"{count} of {len(bad)} examples {'has' if count == 1 else 'have'} features that are NaN "
        f"or infinite, the first at row {first}"
    )


def check_temperature(temperature: Tensor | float | None) -> float | None:
    """Return a temperature as a number; refuse one that is not finite and above 0."""
    if temperature is None:
        return None
    try:
        value = float(temperature)
    except (TypeError, ValueError, RuntimeError):
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise InputError(f"the temperature is {brief(temperature)}, but must be finite and > 0")
    return value
