"""Does geometry predict the best layer? Rank correlations, and the layers behind them.

Computed from the summary's prediction: for each quantity, Spearman's rho over layers between its
value in the net trained without mixing and the gain from mixing there, seed by seed.
"""

from statistics import fmean

import numpy as np
from matplotlib.axes import Axes

from layermix.reporting.figures.labels import beside, plain, widest, wrapped
from layermix.reporting.figures.panels import Grid, grid, spot
from layermix.reporting.figures.scales import bulk, scale
from layermix.reporting.figures.style import (
    INK,
    TITLE,
    WIDTH,
    Figure,
    canvas,
    color,
    finish,
    look,
    marker,
)
from layermix.reporting.formatting import correlation, heading
from layermix.reporting.layer_notes import fixed_at_input
from layermix.reporting.statistics.rank_correlation import Rank
from layermix.reporting.summary import Summary

_ROW, _HEADING_MOST = 27, 118
_GOLDEN = 0.6180339887
_DEPTH = "#888888"
_SEED = 0.8  # opacity of a seed's mark


@look()
def prediction(summary: Summary) -> list[Figure]:
    """Draw rho of every quantity and the layers behind it; nothing without a prediction."""
    if not summary.prediction.ranks:
        return []
    drawn = [_forest(summary.prediction.rows())]
    return drawn + [_scatter(summary)] * any(r.estimate for r in summary.prediction.ranks)


def _forest(rows: list[Rank]) -> Figure:
    names = [wrapped(heading(row.quantity), _HEADING_MOST) for row in rows]
    room = widest([line for name in names for line in name.split("\n")], _HEADING_MOST)
    height = _ROW * len(rows) + 90
    drawing, axes = canvas(height, left=room + 14, right=50, top=50, bottom=40)
    axes.set_xlim(-1.04, 1.04)
    axes.set_ylim(len(rows) - 0.45, -0.55)
    axes.set_yticks(range(len(rows)), [plain(name) for name in names], linespacing=1.05)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_xticks([-1, -0.5, 0, 0.5, 1], ["−1", "", "0", "", "1"])
    axes.axvline(0, color=INK, alpha=0.55, linewidth=1)
    axes.set_xlabel("rank correlation rho")
    axes.text(1.05, 1.0, "mean", transform=axes.transAxes, va="bottom")
    title = "Which quantity orders the layers\nas their gains do?"
    drawing.text(8 / WIDTH, 1 - 8 / height, title, va="top", size=TITLE, linespacing=1.3)
    _mark_depth(axes, rows)
    for place, row in enumerate(rows):
        _row(axes, place, row)
    told = ", ".join(f"{heading(r.quantity)} {_rho(r)}" for r in rows)
    return finish(
        drawing, "prediction-rho", f"Mean rank correlation with the gain: {told}.", _about(rows)
    )


def _row(axes: Axes, place: int, row: Rank) -> None:
    tint = _DEPTH if row.quantity == "depth" else color(0)
    side = sorted((0.0, 1.04 * row.expected))
    axes.fill_between(side, place - 0.42, place + 0.42, color=INK, alpha=0.08, linewidth=0)
    beside(axes, place, _rho(row), 1.05)
    found = row.estimate
    if found is None:
        return
    offsets = ((np.arange(found.n) * _GOLDEN + 0.5) % 1 - 0.5) * 0.34 + 0.2
    dots = {"color": tint, "alpha": 0.85, "mew": 0, "ls": "", "clip_on": False}
    axes.plot(found.values, place + offsets, "o", markersize=3.4, **dots)
    axes.plot(found.mean, place - 0.16, "D", color=tint, markersize=5.5, mew=0, clip_on=False)
    if found.low is None or found.high is None:
        return
    span = [min(max(end, -1.0), 1.0) for end in (found.low, found.high)]
    axes.plot(span, [place - 0.16] * 2, color=tint, linewidth=1.8, solid_capstyle="butt")
    axes.plot(span, [place - 0.16] * 2, "|", color=tint, markersize=6, mew=1.6, clip_on=False)


def _mark_depth(axes: Axes, rows: list[Rank]) -> None:
    """Mark in each row how far depth's mean is from zero, on the side that is expected."""
    depth = next((row.estimate for row in rows if row.quantity == "depth"), None)
    for place, row in enumerate(rows):
        if depth and row.quantity != "depth":
            where = [row.expected * abs(depth.mean)] * 2
            axes.plot(where, [place - 0.42, place + 0.42], color=_DEPTH, linewidth=2.2, zorder=1)


def _scatter(summary: Summary) -> Figure:
    found = summary.prediction
    ranks = [row for row in found.ranks if row.estimate]
    points = list(summary.variants[0].snnl)
    marks = [spot(points.index(layer), layer) for layer in found.layers]
    title = "Gain from mixing (points, upwards) over\nthe layer’s value without mixing"
    sheet = grid(len(ranks), title, marks, lefts=(40, 14), lines=2)
    seeds = [100 * gain for by_seed in found.gains.values() for gain in by_seed.values()]
    means = [100 * fmean(by_seed.values()) for by_seed in found.gains.values()]
    low, high = bulk(seeds, [*means, 0.0])
    air = max(0.08 * (high - low), 0.05)
    ends = (low - air, high + air)
    for place, row in enumerate(ranks):
        _panel(sheet, place, summary, row, ends)
    beyond = sum(not ends[0] <= gain <= ends[1] for gain in seeds)
    return finish(sheet.drawing, "prediction-scatter", _alt(summary), _caption(summary, beyond))


def _panel(sheet: Grid, place: int, summary: Summary, row: Rank, ends: tuple[float, float]) -> None:
    axes, points = sheet.axes[place], list(summary.variants[0].snnl)
    values = summary.variant("none").geometry_end[row.quantity]
    axes.axhline(0, color=INK, alpha=0.55, linewidth=0.8)
    shown = []
    for layer, gains in summary.prediction.gains.items():
        x = [values[layer][seed] for seed in row.seeds]
        y = np.clip([100 * gains[seed] for seed in row.seeds], *ends)
        mean = min(max(100 * fmean(gains[seed] for seed in row.seeds), ends[0]), ends[1])
        index = points.index(layer)
        style = {"color": color(index), "marker": marker(index), "ls": "", "clip_on": False}
        axes.plot(x, y, markersize=4.4, alpha=_SEED, mew=0, **style)
        axes.plot(fmean(x), mean, markersize=8, mec=INK, mew=1, zorder=3, **style)
        shown += x
    scale(axes, "x", shown, ticks=4)
    scale(axes, "y", ends, ticks=4)
    axes.set_ylim(*ends)
    axes.margins(x=0.06)
    if place % 2:
        axes.tick_params(axis="y", labelleft=False)
    sheet.head(place, heading(row.quantity), f"rho {_rho(row)}")


def _rho(row: Rank) -> str:
    return correlation(row.estimate.mean) if row.estimate else "–"


def _about(rows: list[Rank]) -> str:
    one = (
        " A single seed has no interval."
        if all(not r.estimate or r.estimate.n == 1 for r in rows)
        else ""
    )
    return (
        "Spearman’s rank correlation over layers between a quantity without mixing and the gain "
        "from mixing there. Each dot is one seed, moved up or down only so that dots do not hide "
        "one another; each diamond is the mean, its bar the 95% Student-t interval "
        "over seeds, cut at ±1."
        f"{one} The shaded side is where the hypothesis, mix where classes are apart, expects it. "
        "Depth, in grey, is the order of the layers itself: a grey stroke marks it in every row, "
        "on the expected side whichever way depth runs, as the baseline that a quantity must beat."
    )


def _alt(summary: Summary) -> str:
    gains = ", ".join(
        f"{layer} {100 * fmean(by_seed.values()):+.2f}"
        for layer, by_seed in summary.prediction.gains.items()
    )
    return f"Gain from mixing at each layer over its geometry. Mean gains in points: {gains}."


def _caption(summary: Summary, beyond: int) -> str:
    text = (
        "Each large mark with an edge is a layer, means over seeds; small ones are its seeds. "
        "Right: the quantity at the end of training without mixing. Up: test accuracy with mixing "
        "there minus without, in points, the same axis in every panel. Rho is the mean over seeds."
    )
    geometry = summary.variant("none").geometry_end
    if "input" in summary.prediction.layers and fixed_at_input(geometry):
        text += (
            " At the input all seeds have one value of most quantities: its features are the "
            "images themselves."
        )
    if beyond:
        text += f" Seeds beyond the axis: {beyond}, drawn at its edge."
    return text
