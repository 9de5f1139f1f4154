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
from layermix.reporting.formatting import correlation, heading
from layermix.reporting.statistics import Rank
from layermix.reporting.summary import Summary

_CAPTION = (
    "Each large mark with an edge is a layer, mean over seeds; small ones are its seeds. "
    "Horizontal: the quantity at the end of training without mixing. Vertical: test accuracy with "
    "mixing there minus without, in points, the same axis in every panel. Rho is the mean over "
    "seeds."
)


@style()
def gains(summary: Summary) -> list[Figure]:
    """Draw the gain from mixing against each quantity whose rank correlation is defined."""
    found = summary.prediction
    ranks = [row for row in found.ranks if row.estimate]
    if not ranks:
        return []
    seeds = [100 * gain for by_seed in found.gains.values() for gain in by_seed.values()]
    means = [100 * fmean(by_seed.values()) for by_seed in found.gains.values()]
    low, high = central_range(seeds, means)
    ends = min(low, 0.0), max(high, 0.0)
    rows = math.ceil(len(ranks) / 2)
    drawing, panels = canvas(150 * rows + 16 * math.ceil(len(found.layers) / 3) + 40, rows, 2)
    for axes, row in zip(panels, ranks, strict=False):
        _draw_panel(axes, summary, row, ends)
    for axes in panels[len(ranks) :]:
        axes.set_axis_off()
    drawing.supylabel("gain from mixing, points")
    add_shared_legend(drawing, panels)
    caption = _CAPTION + clipped_note(seeds, means, ends)
    shown = ", ".join(f"{n} {mean:+.2f}" for n, mean in zip(found.layers, means, strict=True))
    alt = f"Gain from mixing at each layer over its geometry. Mean gains in points: {shown}."
    return [finish(drawing, "prediction-scatter", alt, caption)]


def _draw_panel(axes: Axes, summary: Summary, row: Rank, ends: tuple[float, float]) -> None:
    assert summary.unmixed is not None
    assert row.estimate is not None
    values, points = summary.unmixed.geometry_end[row.quantity], list(summary.unmixed.snnl)
    axes.axhline(0, color=INK, alpha=0.55, linewidth=0.8)
    shown, names = [], dict(zip(points, short_names(points, 22), strict=True))
    for layer, by_seed in summary.prediction.gains.items():
        x = [values[layer][seed] for seed in row.rhos]
        y = np.clip([100 * by_seed[seed] for seed in row.rhos], *ends)
        mean = np.clip(100 * fmean(by_seed[seed] for seed in row.rhos), *ends)
        index = points.index(layer)
        look = {"color": color(index), "marker": marker(index), "ls": "", "clip_on": False}
        axes.plot(x, y, markersize=4.4, alpha=0.8, **look)
        edge = {"markersize": 8, "mec": INK, "mew": 1, "zorder": 3, "label": names[layer]}
        axes.plot(fmean(x), mean, **edge, **look)
        shown += x
    set_scale(axes, "x", shown)
    set_scale(axes, "y", ends)
    axes.set_ylim(*ends)
    axes.grid(axis="y")
    title = textwrap.fill(heading(row.quantity), 25)
    axes.set_title(f"{title}\nrho {correlation(row.estimate.mean)}", fontsize="medium")
