"""Test accuracy for each mix layer: every seed a dot, with mean and 95% interval.

Computed from the test accuracy of every finished run. The axis covers the bulk of the seeds:
one that collapsed must not hide the rest. What lies beyond is drawn at the edge, pointing outwards.
"""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from layermix.geometry.quantities import SHARE
from layermix.reporting.figures.labels import beside, plain, shorten, widest
from layermix.reporting.figures.scales import bulk
from layermix.reporting.figures.style import INK, Figure, canvas, color, finish, look
from layermix.reporting.statistics.bounds import beyond, cut
from layermix.reporting.summary import Summary
from layermix.reporting.variant import VariantSummary

_ROW, _LEFT_MOST = 28, 110
_GOLDEN = 0.6180339887


@look()
def accuracy(summary: Summary) -> list[Figure]:
    """Draw a row for each variant, with the mean of no mixing as a line to compare with."""
    rows = summary.variants
    names = [row.name for row in rows]
    room = widest(names, _LEFT_MOST)
    drawing, axes = canvas(_ROW * len(rows) + 68, left=room + 14, right=52, top=28, bottom=40)
    low, high = limits(rows)
    axes.set_xlim(low, high)
    axes.set_ylim(len(rows) - 0.45, -0.55)
    axes.set_yticks(range(len(rows)), [plain(shorten(name, room)) for name in names])
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(5, min_n_ticks=3))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.grid(axis="x")
    axes.set_axisbelow(True)
    axes.set_xlabel("test accuracy, %")
    axes.text(1.03, 1.0, "mean", transform=axes.transAxes, va="bottom")
    if "none" in names:
        mean = 100 * summary.variant("none").test["accuracy"].mean
        axes.axvline(mean, color=INK, alpha=0.55, linewidth=1, linestyle=(0, (4, 2)), zorder=1)
        axes.text(
            mean,
            1.0,
            " mean of none ",
            transform=axes.get_xaxis_transform(),
            va="bottom",
            ha="left" if mean < (low + high) / 2 else "right",
        )
    for place, row in enumerate(rows):
        _row(axes, place, row, (low, high))
    return [finish(drawing, "accuracy", _alt(rows), _caption(rows, (low, high)))]


def limits(rows: list[VariantSummary]) -> tuple[float, float]:
    """Return the ends of the axis in %: seeds and means that are not far out, with some air."""
    seeds = 100 * np.concatenate([row.test["accuracy"].values for row in rows])
    means = [100 * row.test["accuracy"].mean for row in rows]
    low, high = bulk(list(seeds), means)
    air = max(0.08 * (high - low), 0.05)
    return low - air, min(high + air, 100.4)


def _row(axes: Axes, place: int, row: VariantSummary, ends: tuple[float, float]) -> None:
    found, tint = row.test["accuracy"], color(place)
    low, high = ends
    offsets = (np.arange(found.n) * _GOLDEN % 1 - 0.5) * 0.36 + 0.2
    values = 100 * np.array(found.values)
    inside = (values >= low) & (values <= high)
    style = {"color": tint, "alpha": 0.85, "mew": 0, "ls": "", "clip_on": False}
    axes.plot(values[inside], place + offsets[inside], "o", markersize=4.2, **style)
    for outside, edge, arrow in ((values < low, low, "<"), (values > high, high, ">")):
        count = int(outside.sum())
        axes.plot([edge] * count, place + offsets[outside], arrow, markersize=5, **style)
    _interval(axes, place - 0.16, row, ends, tint)
    beside(axes, place, f"{100 * found.mean:.2f}")


def _interval(
    axes: Axes, place: float, row: VariantSummary, ends: tuple[float, float], tint: str
) -> None:
    found = cut(row.test["accuracy"], SHARE)
    middle = min(max(100 * found.mean, ends[0]), ends[1])
    axes.plot(middle, place, "D", color=tint, markersize=6, mew=0, clip_on=False)
    if found.low is None or found.high is None:
        return
    span = [min(max(100 * end, ends[0]), ends[1]) for end in (found.low, found.high)]
    axes.plot(span, [place, place], color=tint, linewidth=1.8, solid_capstyle="butt")
    for end, shown, arrow in zip((found.low, found.high), span, ("<", ">"), strict=True):
        longer = abs(100 * end - shown) > 1e-9
        style = {"markersize": 6, "mew": 0 if longer else 1.8, "clip_on": False}
        axes.plot(shown, place, arrow if longer else "|", color=tint, **style)


def _alt(rows: list[VariantSummary]) -> str:
    means = ", ".join(f"{row.name} {row.test['accuracy'].mean:.2%}" for row in rows)
    return f"Mean test accuracy for each place to mix: {means}."


def _caption(rows: list[VariantSummary], ends: tuple[float, float]) -> str:
    found = [row.test["accuracy"] for row in rows]
    counts = sorted({each.n for each in found})
    seeds = " to ".join(str(count) for count in (counts[0], counts[-1])[: len(counts)])
    text = (
        f"Each dot is one seed ({seeds} for each variant), moved up or down only so that dots do "
        "not hide one another; each diamond is the mean, its bar the 95% Student-t interval."
    )
    if counts[0] == 1:
        text += " A single seed has no interval."
    spans = [cut(each, SHARE) for each in found]
    if any(beyond(each, SHARE) for each in found):
        text += " Bars are cut at 0 and 100%, beyond which no accuracy is."
    if any(_beyond(end, ends) for each in spans for end in (each.low, each.high)):
        text += " A bar that ends in an arrow reaches beyond the axis."
    if outside := sum(_beyond(value, ends) for each in found for value in each.values):
        text += f" Seeds beyond the axis: {outside}, drawn as triangles at its edge."
    if any(_beyond(each.mean, ends) for each in found):
        text += " A diamond at the very edge stands for a mean beyond it."
    return text


def _beyond(share: float | None, ends: tuple[float, float]) -> bool:
    return share is not None and not ends[0] <= 100 * share <= ends[1]
