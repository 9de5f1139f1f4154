"""The least of a smooth function of the temperature: grids, then a parabola.

A loss over T can have several valleys (data of several scales), so that a grid of octaves comes
first. The lowest valleys are looked at closer, the lowest of all once more, and the vertex of the
parabola through the three best points, the step of Brent's (1973) method, ends the search. Each
look takes many temperatures at once, because a pass over all pairs costs about the same for many as
for one.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

_OCTAVES = 13  # on both sides of the scale: from about 1e-4 to 1e4 times it
_VALLEYS = 3


def minimise(loss: Callable[[Tensor], Tensor], scale: float) -> float:
    """Return the temperature at which a loss is least.

    Parameters
    ----------
    loss
        Takes temperatures, float64 (t,), and returns as many losses.
    scale
        A typical squared distance; temperatures are sought within 13 octaves of it.
    """
    seen: dict[float, float] = {}  # log2(T / scale) -> loss

    def look(steps: Sequence[float]) -> None:
        new = [s for s in dict.fromkeys(steps) if s not in seen and abs(s) <= _OCTAVES]
        if new:
            values = loss(torch.tensor([scale * 2.0**s for s in new], dtype=torch.float64))
            seen.update(zip(new, values.tolist(), strict=True))

    look([float(k) for k in range(-_OCTAVES, _OCTAVES + 1)])
    quarters = [k / 4 for k in range(-3, 4)]
    look([valley + step for valley in _valleys(seen)[:_VALLEYS] for step in quarters])
    best = _lowest(seen)
    look([best + k / 16 for k in range(-3, 4)])
    look([_vertex(seen, _lowest(seen))])
    return scale * 2.0 ** _lowest(seen)


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
