"""Scatter plots of the gain from mixing at each layer against each quantity of the layer."""

import math
import textwrap
from statistics import fmean

import numpy as np
from matplotlib.axes import Axes

from layermix.reporting.figures.intervals import central_range, clipped_note
from layermix.reporting.figures.style import (
    INK,
    Figure,
    add_shared_legend,
    canvas,
    color,
    finish,
    marker,
    set_scale,
    short_names,
    style,
)
from layermix.reporting.formatting import heading
from layermix.reporting.statistics import BySeed
from layermix.reporting.summary import Summary

_CAPTION = (
    "Each large mark with an edge is a layer, mean over seeds; small ones are its seeds. "
    "Horizontal: the quantity at the end of training without mixing. Vertical: test accuracy with "
    "mixing there minus without, in points, the same axis in every panel."
)
_MIN_LAYERS = 3


@style()
def gains(summary: Summary) -> list[Figure]:
    """Draw the gain from mixing against each quantity of three layers or more."""
    unmixed, found = summary.unmixed, summary.gains
    layers = [layer for layer, by_seed in found.items() if by_seed]
    if unmixed is None or len(layers) < _MIN_LAYERS:
        return []
    ends = unmixed.geometry_end
    quantities = [q for q in ends if all(ends[q].get(layer) for layer in layers)]
    if not quantities:
        return []
    seeds = [100 * gain for layer in layers for gain in found[layer].values()]
    means = [100 * fmean(found[layer].values()) for layer in layers]
    low, high = central_range(seeds, means)
    limits = min(low, 0.0), max(high, 0.0)
    rows = math.ceil(len(quantities) / 2)
    drawing, panels = canvas(150 * rows + 16 * math.ceil(len(layers) / 3) + 40, rows, 2)
    for axes, quantity in zip(panels, quantities, strict=False):
        _draw_panel(axes, summary, ends[quantity], layers, limits)
        axes.set_title(textwrap.fill(heading(quantity), 25), fontsize="medium")
    for axes in panels[len(quantities) :]:
        axes.set_axis_off()
    drawing.supylabel("gain from mixing, points")
    add_shared_legend(drawing, panels)
    caption = _CAPTION + clipped_note(seeds, means, limits)
    shown = ", ".join(f"{n} {mean:+.2f}" for n, mean in zip(layers, means, strict=True))
    alt = f"Gain from mixing at each layer over its geometry. Mean gains in points: {shown}."
    return [finish(drawing, "gains", alt, caption)]


def _draw_panel(
    axes: Axes,
    summary: Summary,
    values: dict[str, BySeed],
    layers: list[str],
    ends: tuple[float, float],
) -> None:
    points = list(summary.variants[0].snnl)
    axes.axhline(0, color=INK, alpha=0.55, linewidth=0.8)
    shown, names = [], dict(zip(points, short_names(points, 22), strict=True))
    for layer in layers:
        gained = summary.gains[layer]
        seeds = sorted(gained.keys() & values[layer].keys())
        x = [values[layer][seed] for seed in seeds]
        y = np.clip([100 * gained[seed] for seed in seeds], *ends)
        index = points.index(layer)
        look = {"color": color(index), "marker": marker(index), "ls": "", "clip_on": False}
        axes.plot(x, y, markersize=4.4, alpha=0.8, **look)
        edge = {"markersize": 8, "mec": INK, "mew": 1, "zorder": 3, "label": names[layer]}
        if seeds:
            mean = np.clip(100 * fmean(gained[seed] for seed in seeds), *ends)
            axes.plot(fmean(x), mean, **edge, **look)
        shown += x
    set_scale(axes, "x", shown)
    set_scale(axes, "y", ends)
    axes.set_ylim(*ends)
    axes.grid(axis="y")
