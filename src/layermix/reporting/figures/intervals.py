"""Plots of means with their 95% intervals: test accuracy, differences, SNNL after training."""

import math
from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes

from layermix.geometry.quantities import SHARE
from layermix.reporting.figures.style import (
    GRAY,
    INK,
    Figure,
    add_beside,
    add_legend,
    canvas,
    color,
    finish,
    marker,
    set_scale,
    short_names,
    style,
)
from layermix.reporting.formatting import listed, percent, percentage_points, plural
from layermix.reporting.statistics import Estimate
from layermix.reporting.summary import Summary

_ROW, _NAME = 28, 26  # height of a row, characters of its name
_GOLDEN = 0.6180339887
_DOTS = (
    "Each dot is one seed, moved vertically only so that dots do not hide each other; each diamond "
    "is the mean, with its 95% Student-t interval over"
)


@style()
def accuracy(summary: Summary) -> list[Figure]:
    """Draw the test accuracy of each variant: every seed, the mean and its interval."""
    found = {row.name: row.test["accuracy"] for row in summary.variants}
    seeds = [100 * value for each in found.values() for value in each.values]
    means = [100 * each.mean for each in found.values()]
    ends = central_range(seeds, means)
    drawing, (axes,) = canvas(_ROW * len(found) + 70)
    unmixed = 100 * summary.unmixed.test["accuracy"].mean if summary.unmixed else math.nan
    has_line = ends[0] <= unmixed <= ends[1]
    if has_line:
        axes.axvline(unmixed, color=GRAY, linewidth=1.2, linestyle="--", zorder=1)
    for row, each in enumerate(found.values()):
        _draw_row(axes, row, each, color(row), ends, percent)
    _rows(axes, list(found), ends)
    set_scale(axes, "x", ends, ticks=5)
    axes.set_xlabel("test accuracy, %")
    caption = f"{_DOTS} {summary.unit}; the number is the mean."
    caption += " The dashed line is the mean without mixing." if has_line else ""
    intervals = [each.clipped(SHARE) for each in found.values()]
    caption += clipped_note(seeds, means, ends, intervals)
    if any(each.exceeds(SHARE) for each in found.values()):
        caption += " Intervals are clipped at 0 and 100%."
    shown = ", ".join(f"{name} {each.mean:.2%}" for name, each in found.items())
    return [finish(drawing, "accuracy", f"Mean test accuracy: {shown}.", caption)]


@style()
def differences(summary: Summary) -> list[Figure]:
    """Draw the paired differences of accuracy from the baseline: every seed, mean and interval."""
    found = {d.variant: d for d in summary.family if d.metric == "accuracy"}
    if not found:
        return []
    seeds = [100 * value for each in found.values() for value in each.estimate.values]
    margin, means = 100 * summary.margin, [100 * each.estimate.mean for each in found.values()]
    low, high = central_range(seeds, means)
    ends = min(low, -1.5 * margin), max(high, 1.5 * margin)
    drawing, (axes,) = canvas(_ROW * len(found) + 70)
    axes.axvspan(-margin, margin, color=GRAY, alpha=0.16, linewidth=0)
    axes.axvline(0, color=INK, alpha=0.55, linewidth=0.8)
    order = [row.name for row in summary.variants]
    for row, (name, each) in enumerate(found.items()):
        _draw_row(axes, row, each.estimate, color(order.index(name)), ends, percentage_points)
    _rows(axes, list(found), ends)
    set_scale(axes, "x", ends, ticks=5)
    axes.set_xlabel(f"test accuracy minus {summary.baseline}, points")
    intervals = [each.estimate for each in found.values()]
    caption = (
        f"{_DOTS} {summary.unit}. Differences in the gray band, ±{margin:g} points, count as "
        f"practically equal.{clipped_note(seeds, means, ends, intervals)}"
    )
    shown = ", ".join(f"{n} {100 * d.estimate.mean:+.2f} ({d.outcome})" for n, d in found.items())
    alt = f"Test accuracy minus {summary.baseline} in points: {shown}."
    return [finish(drawing, "differences", alt, caption)]


@style()
def snnl_at_end(summary: Summary) -> list[Figure]:
    """Draw SNNL after training at each layer for each variant."""
    rows, layers = summary.variants, list(summary.variants[0].snnl)
    if summary.chance is None:
        return []
    names = short_names([row.name for row in rows], _NAME)
    band = 7 * len(rows) + 10
    drawing, (axes,) = canvas(band * len(layers) + 16 * len(rows) / 3 + 70)
    for index, row in enumerate(rows):
        offset = (index - (len(rows) - 1) / 2) * 7 / band
        ends = [row.snnl[layer][-1] for layer in layers]
        means = np.array([end.mean for end in ends])
        lows = [max(0.0, m if e.low is None else e.low) for m, e in zip(means, ends, strict=True)]
        highs = [m if e.high is None else e.high for m, e in zip(means, ends, strict=True)]
        bars = np.abs(np.array([lows, highs]) - means)
        look = {"color": color(index), "markersize": 5, "elinewidth": 1.2}
        places = np.arange(len(layers)) + offset
        name = names[index]
        axes.errorbar(means, places, xerr=bars, fmt=marker(index), label=name, **look)
    for border in range(1, len(layers)):
        axes.axhline(border - 0.5, color=INK, alpha=0.16, linewidth=0.8)
    means = [row.snnl[layer][-1].mean for row in rows for layer in layers]
    top = 1.15 * max(means)
    _rows(axes, layers, (0, top if top > 1e-9 else summary.chance))
    axes.set_xlabel(f"SNNL after training (chance {summary.chance:.2f})")
    add_legend(drawing, names, loc="outside upper left")
    caption = (
        f"SNNL after training for each variant: mean and 95% interval over {summary.unit}, "
        f"clipped at 0 and at the end of the axis. "
        f"N = {summary.sizes['monitored']}, chance level {summary.chance:.2f}."
    )
    ends = "; ".join(
        f"{row.name}: " + ", ".join(f"{b} {curve[-1].mean:.3f}" for b, curve in row.snnl.items())
        for row in rows
    )
    return [finish(drawing, "snnl-end", f"SNNL after training. {ends}.", caption)]


def central_range(seeds: Sequence[float], means: Sequence[float]) -> tuple[float, float]:
    """Return the axis range that shows the values of all seeds and means except outliers.

    Outliers are more than three interquartile ranges of the seeds beyond their quartiles: one seed
    that collapsed must not hide the differences of the others.
    """
    first, third = np.percentile(seeds, [25, 75])
    shown = np.append(seeds, means)
    reach = 3 * (third - first)
    near = shown[(shown >= first - reach) & (shown <= third + reach)]
    margin = max(0.08 * float(np.ptp(near)), 0.05)
    return float(near.min()) - margin, float(near.max()) + margin


def clipped_note(
    seeds: Sequence[float],
    means: Sequence[float],
    ends: tuple[float, float],
    intervals: Sequence[Estimate] = (),
) -> str:
    """Return a sentence with the number of values outside the axis, or "" if all are inside."""
    limits = [100 * v for each in intervals for v in (each.low, each.high) if v is not None]
    counts = [
        plural(sum(not ends[0] <= value <= ends[1] for value in values), noun)
        for values, noun in ((seeds, "seed"), (means, "mean"), (limits, "end of an interval"))
    ]
    shown = [count for count in counts if not count.startswith("0 ")]
    return f" Beyond the axis, and drawn at its edge: {listed(shown)}." if shown else ""


def _draw_row(
    axes: Axes,
    row: int,
    found: Estimate,
    tint: str,
    ends: tuple[float, float],
    show: Callable[[float], str],
) -> None:
    """Draw one variant: a dot for each seed, the mean with its interval, and the mean as text."""
    values = 100 * np.array(found.values)
    heights = row + (np.arange(found.n) * _GOLDEN % 1 - 0.5) * 0.36 + 0.2
    look = {"color": tint, "alpha": 0.85, "ls": "", "clip_on": False}
    inside = (values >= ends[0]) & (values <= ends[1])
    axes.plot(values[inside], heights[inside], "o", markersize=4, **look)
    for outside, edge, arrow in (
        (values < ends[0], ends[0], "<"),
        (values > ends[1], ends[1], ">"),
    ):
        axes.plot(np.full(outside.sum(), edge), heights[outside], arrow, markersize=5, **look)
    mean = np.clip(100 * found.mean, *ends)
    axes.plot(mean, row - 0.16, "D", color=tint, markersize=5.5, clip_on=False)
    shown = found.clipped(SHARE) if show is percent else found
    if shown.low is not None and shown.high is not None:
        bar, height = (100 * shown.low, 100 * shown.high), row - 0.16
        axes.plot(np.clip(bar, *ends), [height] * 2, "-", color=tint)
        for end, arrow in zip(bar, "<>", strict=True):
            cap = "|" if ends[0] <= end <= ends[1] else arrow
            look = {"color": tint, "markersize": 6, "markeredgewidth": 1.6, "clip_on": False}
            axes.plot(np.clip(end, *ends), height, cap, **look)
    add_beside(axes, row, show(found.mean))


def _rows(axes: Axes, names: Sequence[str], ends: tuple[float, float]) -> None:
    axes.set_xlim(*ends)
    axes.set_ylim(len(names) - 0.45, -0.55)
    axes.set_yticks(range(len(names)), short_names(names, _NAME))
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x")
