"""Search for the temperature that minimizes a loss.

The loss can have several local minima in T if the data have several scales. The search evaluates
powers of two, refines the three lowest minima, and then the lowest of these. It ends with the
vertex of the parabola through the best point and its neighbors, as in Brent's (1973) method. Each
step evaluates many temperatures in one pass over the pairs, at about the cost of one temperature.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from layermix.errors import InputError, brief

_OCTAVES = 13  # minimum range on both sides of the typical distance: factors 1e-4 to 1e4
_BELOW, _ABOVE = 3, 8  # octaves below the nearest and above the farthest distance
_FURTHER, _LIMIT = 8, 64  # octaves of each downward extension, and the maximum below typical
_ZERO = 1e-9  # nats; a lower loss is treated as zero
_ROUNDING = {torch.float64: 1e-12, torch.float32: 1e-6}  # relative to the largest distance


def best_temperature(
    loss: Callable[[Tensor], Tensor], distances: Tensor, nearest: Tensor, unit: float = 1.0
) -> float:
    """Return the temperature that minimizes `loss`, a function of float64 temperatures (t,).

    The search starts at an eighth of the nearest squared distance, or lower if the loss still
    decreases there, and ends far above the farthest one. `distances` are those of some pairs, and
    `nearest` those of each example to its nearest neighbor, (N,); both are in units of `unit`.
    """
    known: dict[float, float] = {}  # log2(T / typical) -> loss
    least, typical, most = _span(distances, nearest, unit)
    low = min(-_OCTAVES, math.floor(math.log2(least / typical)) - _BELOW)
    high = max(_OCTAVES, math.ceil(math.log2(most / typical)) + _ABOVE)

    def evaluate(steps: Sequence[float]) -> None:
        new = [s for s in dict.fromkeys(steps) if s not in known and low <= s <= high]
        if new:
            values = loss(torch.tensor([typical * 2.0**s for s in new], dtype=torch.float64))
            known.update(zip(new, values.tolist(), strict=True))

    evaluate([float(k) for k in range(low, high + 1)])
    while _lowest(known) == low > -_LIMIT and known[low] > _ZERO:
        low -= _FURTHER
        evaluate([float(k) for k in range(low, low + _FURTHER)])
    quarters = [k / 4 for k in range(-3, 4)]
    evaluate([valley + step for valley in _valleys(known)[:3] for step in quarters])
    best = _lowest(known)
    evaluate([best + k / 16 for k in range(-3, 4)])
    evaluate([_vertex(known, _lowest(known))])
    return typical * 2.0 ** _lowest(known)


def check_temperature(temperature: Tensor | float | None) -> float | None:
    """Return the temperature as a float; raise an `InputError` if it is not finite and > 0."""
    if temperature is None:
        return None
    try:
        value = float(temperature)
    except (TypeError, ValueError, RuntimeError):
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise InputError(f"the temperature is {brief(temperature)}, but must be finite and > 0")
    return value


def _span(distances: Tensor, nearest: Tensor, unit: float) -> tuple[float, float, float]:
    """Return the smallest, median and largest squared distance between distinct examples."""
    farthest = float(distances.max()) if distances.numel() else 0.0
    apart = distances[distances > _ROUNDING[torch.float64] * farthest]
    if not len(apart):
        return unit, unit, unit
    typical = float(apart.median())
    near = nearest[nearest > _ROUNDING[nearest.dtype] * farthest]
    least = min(typical, float(near.min())) if len(near) else typical
    return least * unit, typical * unit, farthest * unit


def _lowest(known: dict[float, float]) -> float:
    return min(known, key=lambda step: known[step])


def _valleys(known: dict[float, float]) -> list[float]:
    """Return the log temperatures at the local minima of the loss, the lowest loss first."""
    steps = sorted(known)
    padded = [math.inf, *(known[step] for step in steps), math.inf]
    found = [s for i, s in enumerate(steps) if padded[i] > padded[i + 1] <= padded[i + 2]]
    return sorted(found, key=lambda step: known[step])


def _vertex(known: dict[float, float], best: float) -> float:
    """Return the vertex of the parabola through the best point and its neighbors."""
    steps = sorted(known)
    index = steps.index(best)
    if index in (0, len(steps) - 1):
        return best
    left, right = steps[index - 1] - best, steps[index + 1] - best
    low, high = known[steps[index - 1]] - known[best], known[steps[index + 1]] - known[best]
    curvature = high * left - low * right
    if not curvature:
        return best
    return best + (high * left**2 - low * right**2) / (2 * curvature)
