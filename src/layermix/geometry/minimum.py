"""The least of a smooth function of the temperature: grids, then a parabola.

A loss over T can have several valleys (data of several scales), so that a grid of octaves comes
first, which reaches below the distance of the nearest neighbours. The lowest valleys are looked at
closer, the lowest of all once more, and the vertex of the parabola through the three best points,
the step of Brent's (1973) method, ends the search. Each look takes many temperatures at once,
because a pass over all pairs costs about the same for many as for one.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

_OCTAVES = 13  # at least, on both sides of the typical distance: from about 1e-4 to 1e4 times it
_BELOW, _ABOVE = 3, 8  # octaves below the nearest and above the farthest distance
_FURTHER, _MOST = 8, 64  # octaves by which the search goes on, and its end
_ZERO = 1e-9  # nats below which a loss is zero in any sense
_VALLEYS = 3
_ROUNDING = {torch.float64: 1e-12, torch.float32: 1e-6}  # of the largest distance


class Span(NamedTuple):
    """Squared distances of the data, between which the best temperature is to be sought."""

    nearest: float
    typical: float
    farthest: float


def span_of(distances: Tensor, nearest: Tensor, unit: float = 1.0) -> Span:
    """Return the span of squared distances.

    Parameters
    ----------
    distances
        Of some pairs of examples, each pair once, any shape.
    nearest
        Of examples to their nearest neighbours, (N,). Examples that coincide, up to rounding in
        its dtype, have no scale and do not count.
    unit
        What the distances are to be multiplied by.
    """
    farthest = float(distances.max()) if distances.numel() else 0.0
    apart = distances[distances > _ROUNDING[torch.float64] * farthest]
    if not len(apart):
        return Span(unit, unit, unit)
    typical = float(apart.median())
    near = nearest[nearest > _ROUNDING[nearest.dtype] * farthest]
    least = min(typical, float(near.min())) if len(near) else typical
    return Span(least * unit, typical * unit, farthest * unit)


def minimise(loss: Callable[[Tensor], Tensor], span: Span) -> float:
    """Return the temperature at which a loss is least.

    Parameters
    ----------
    loss
        Takes temperatures, float64 (t,), and returns as many losses.
    span
        Squared distances of the data. Temperatures are sought from an eighth of the nearest, or
        lower where the loss still falls there, to far above the farthest.
    """
    seen: dict[float, float] = {}  # log2(T / typical) -> loss
    low, high = _ends(span)

    def look(steps: Sequence[float]) -> None:
        new = [s for s in dict.fromkeys(steps) if s not in seen and low <= s <= high]
        if new:
            values = loss(torch.tensor([span.typical * 2.0**s for s in new], dtype=torch.float64))
            seen.update(zip(new, values.tolist(), strict=True))

    look([float(k) for k in range(low, high + 1)])
    while _lowest(seen) == low > -_MOST and seen[low] > _ZERO:
        low -= _FURTHER
        look([float(k) for k in range(low, low + _FURTHER)])
    quarters = [k / 4 for k in range(-3, 4)]
    look([valley + step for valley in _valleys(seen)[:_VALLEYS] for step in quarters])
    best = _lowest(seen)
    look([best + k / 16 for k in range(-3, 4)])
    look([_vertex(seen, _lowest(seen))])
    return span.typical * 2.0 ** _lowest(seen)


def _ends(span: Span) -> tuple[int, int]:
    """Return the octaves from the typical distance at which the search begins and ends."""
    down, up = (math.log2(end / span.typical) for end in (span.nearest, span.farthest))
    return min(-_OCTAVES, math.floor(down) - _BELOW), max(_OCTAVES, math.ceil(up) + _ABOVE)


def _lowest(seen: dict[float, float]) -> float:
    return min(seen, key=lambda step: seen[step])


def _valleys(seen: dict[float, float]) -> list[float]:
    """Return the local minima, the lowest first."""
    steps = sorted(seen)
    padded = [math.inf, *(seen[step] for step in steps), math.inf]
    found = [s for i, s in enumerate(steps) if padded[i] > padded[i + 1] <= padded[i + 2]]
    return sorted(found, key=lambda step: seen[step])


def _vertex(seen: dict[float, float], best: float) -> float:
    """Return where the parabola through the best point and its neighbours is least."""
    steps = sorted(seen)
    place = steps.index(best)
    if place in (0, len(steps) - 1):
        return best
    left, right = steps[place - 1] - best, steps[place + 1] - best
    low, high = seen[steps[place - 1]] - seen[best], seen[steps[place + 1]] - seen[best]
    curvature = high * left - low * right
    if not curvature:
        return best
    return best + (high * left**2 - low * right**2) / (2 * curvature)
