"""Search for the temperature that minimizes a loss.

The loss can have several local minima in T if the data have several scales. The search evaluates
powers of two, refines the three lowest minima in quarters, and ends near the minimum of a
polynomial through the best points. Each step evaluates many temperatures in one pass over the
pairs, at about the cost of one temperature.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from layermix.errors import InputError, brief

_OCTAVES = 13  # minimum range on both sides of the typical distance: factors 1e-4 to 1e4
_BELOW, _ABOVE = 3, 8  # octaves below the nearest and above the farthest distance
_FURTHER, _LIMIT = 8, 64  # octaves of each downward extension, and the maximum below typical
_ZERO = 1e-9  # nats; a lower loss is treated as zero
_ROUNDING = {torch.float64: 1e-12, torch.float32: 1e-6}  # of distances and losses


def best_temperature(
    loss: Callable[[Tensor, bool], Tensor],
    distances: Tensor,
    nearest: Callable[[], Tensor],
    unit: float = 1.0,
) -> float:
    """Return the temperature that minimizes `loss`.

    ``loss(temperatures, exact)`` returns the losses at temperatures, float64 (t,); unless `exact`,
    they may be infinite where they are above twice the lowest loss.

    The search starts at an eighth of the nearest squared distance, or lower if the loss still
    decreases there, and ends far above the farthest one. `distances` are those of some pairs, and
    `nearest` returns those of each example to its nearest neighbor, (N,), and is called after a
    loss was computed; both are in units of `unit`.
    """
    known: dict[float, float] = {}  # log2(T / typical) -> loss
    farthest = float(distances.max()) if distances.numel() else 0.0
    apart = distances[distances > _ROUNDING[torch.float64] * farthest]
    typical, most = (float(apart.median()), farthest) if len(apart) else (1.0, 1.0)
    low, high = -_OCTAVES, max(_OCTAVES, math.ceil(math.log2(most / typical)) + _ABOVE)

    def evaluate(steps: Sequence[float], exact: bool = False) -> None:
        missing = (math.inf,) if exact else ()
        new = [s for s in dict.fromkeys(steps) if low <= s <= high]
        new = [s for s in new if s not in known or known[s] in missing]
        if new:
            at = [typical * unit * 2.0**s for s in new]
            values = loss(torch.tensor(at, dtype=torch.float64), exact)
            known.update(zip(new, values.tolist(), strict=True))

    evaluate([float(k) for k in range(low, high + 1)])
    near = nearest()
    near = near[near > _ROUNDING[near.dtype] * farthest]
    if len(apart) and len(near):
        least = min(typical, float(near.min()))
        low = min(low, math.floor(math.log2(least / typical)) - _BELOW)
        evaluate([float(k) for k in range(low, -_OCTAVES)])
    while _lowest(known) == low > -_LIMIT and known[low] > _ZERO:
        low -= _FURTHER
        evaluate([float(k) for k in range(low, low + _FURTHER)])
    quarters = [k / 4 for k in range(-3, 4)]
    evaluate([valley + step for valley in _valleys(known)[:3] for step in quarters])
    best = _lowest(known)
    evaluate([best + k / 4 for k in (-2, -1, 1, 2)], exact=True)
    vertex, _ = _vertex(known)
    evaluate([vertex + k / 32 for k in (-1, 0, 1)], exact=True)
    vertex, expected = _vertex(known)
    if expected < (1 - _ROUNDING[near.dtype]) * known[_lowest(known)]:
        evaluate([vertex], exact=True)
    return typical * unit * 2.0 ** _lowest(known)


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


def _lowest(known: dict[float, float]) -> float:
    return min(known, key=lambda step: known[step])


def _valleys(known: dict[float, float]) -> list[float]:
    """Return the log temperatures at the local minima of the loss, the lowest loss first."""
    steps = sorted(known)
    padded = [math.inf, *(known[step] for step in steps), math.inf]
    found = [s for i, s in enumerate(steps) if padded[i] > padded[i + 1] <= padded[i + 2]]
    return sorted(found, key=lambda step: known[step])


def _vertex(known: dict[float, float]) -> tuple[float, float]:
    """Return the step and the loss at the minimum of a polynomial, between the best neighbors.

    It is the polynomial of log loss through the best point and two on each side of it.
    """
    steps = sorted(step for step, value in known.items() if math.isfinite(value))
    index = steps.index(best := _lowest(known))
    if index in (0, len(steps) - 1):
        return best, known[best]
    some = steps[max(0, index - 2) : index + 3]
    logs = np.log([max(known[step], _ZERO) for step in some])
    fit = np.polynomial.Polynomial.fit(some, logs, len(some) - 1)
    inside = np.linspace(steps[index - 1], steps[index + 1], 257)
    lowest = int(np.argmin(fit(inside)))
    return float(inside[lowest]), math.exp(fit(inside)[lowest])
