"""Scales: which values an axis covers, whether it is logarithmic, and what its ticks say."""

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from layermix.reporting.figures.labels import text_width

_DECADES = 2  # over which values must spread for a logarithmic axis
_PEAK = 2  # times the highest end, from which on a peak would flatten what curves come to
_STEPS = (1, 2, 5)  # ticks of a logarithmic axis of few decades
_ZERO = 1e-9  # up to which a value may be rounding


def bulk(seeds: Sequence[float], means: Sequence[float]) -> tuple[float, float]:
    """Return the least and greatest of seeds and means that are not far out.

    Far out is three interquartile ranges of the seeds beyond their quartiles: one seed that
    collapsed must not hide the rest.
    """
    first, third = np.percentile(seeds, [25, 75])
    reach = 3 * (third - first)
    shown = np.append(seeds, means)
    near = shown[(shown >= first - reach) & (shown <= third + reach)]
    return float(near.min()), float(near.max())


def scale(
    axes: Axes,
    which: Literal["x", "y"],
    values: Sequence[float],
    ticks: int,
    ends: Sequence[float] = (),
    room: float = math.inf,
) -> bool:
    """Set the scale of an axis and its ticks; return whether it is logarithmic.

    Parameters
    ----------
    axes, which
        The axis.
    values
        What is shown along it: logarithmic where all are above zero and spread over decades.
    ticks
        About how many there are.
    ends
        Where curves come to, if curves are shown: logarithmic also where they pass a high peak.
    room
        Width of a label in points: where a linear axis has one that is wider, it has fewer.
    """
    axis = axes.xaxis if which == "x" else axes.yaxis
    low, high = min(values), max(values)
    far = high >= 10.0**_DECADES * low
    logarithmic = low > _ZERO and (far or (len(ends) > 0 and high > _PEAK * max(ends)))
    if logarithmic:
        axes.set(**{f"{which}scale": "log"})
        axis.set_major_locator(LogLocator(numticks=ticks) if far else LogLocator(subs=_STEPS))
        axis.set_minor_locator(NullLocator())
    else:
        axes.autoscale_view()
        axis.set_major_locator(_linear(ticks, *axis.get_view_interval(), room))
    axis.set_major_formatter(FuncFormatter(lambda value, _: tick(value)))
    return logarithmic


def _linear(ticks: int, low: float, high: float, room: float) -> MaxNLocator:
    """Return what places ticks from low to high, as many as have labels that fit."""
    round_steps = [MaxNLocator(most, steps=[1, 2, 5, 10], min_n_ticks=2) for most in (ticks, 2, 1)]
    locators = [MaxNLocator(ticks, min_n_ticks=2), *round_steps]
    for found in locators:
        places = [place for place in found.tick_values(low, high) if low <= place <= high]
        if all(text_width(tick(place)) <= room for place in places):
            return found
    return locators[-1]


def tick(value: float) -> str:
    """Return what a tick says: six digits at most, ``1e−5`` where that is shorter."""
    mantissa, _, exponent = f"{value:.6g}".partition("e")
    power = f"e{int(exponent)}" if exponent else ""
    return f"{mantissa}{power}".replace("-", "−")
