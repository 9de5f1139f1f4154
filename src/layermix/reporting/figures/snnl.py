"""SNNL of every block: over training, and at its end for each variant.

Computed from the records of every epoch: the SNNL of the monitored batch at each block, the same
held-out examples in every run, so that N is equal everywhere. Intervals are over seeds.
"""

import math

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from layermix.reporting.figures.labels import label_ends, plain, shorten, widest
from layermix.reporting.figures.style import (
    INK,
    TITLE,
    WIDTH,
    Figure,
    canvas,
    color,
    dash,
    finish,
    look,
    marker,
)
from layermix.reporting.summary import Summary
from layermix.reporting.variant import CurvePoint, VariantSummary

_LABELS_MOST = 104
_NONE = 1e-9  # below it all classes are apart, and the chance level gives the axis its length
_LOG_BELOW = 1 / 3  # share of the chance level below which a linear axis would show nothing


@look()
def snnl(summary: Summary) -> list[Figure]:
    """Draw SNNL over training without mixing, and at the end of training for each variant."""
    names = [row.name for row in summary.variants]
    first = summary.variant("none" if "none" in names else names[0])
    return [_over_training(summary, first), _at_end(summary)]


def _over_training(summary: Summary, row: VariantSummary) -> Figure:
    blocks = list(row.snnl)
    room = widest([*blocks, "chance"], _LABELS_MOST)
    height = max(270, 14 * len(blocks) + 80)
    drawing, axes = canvas(height, left=40, right=room + 24, top=44)
    ends = []
    for index, (block, curve) in enumerate(row.snnl.items()):
        epochs = [point.epoch for point in curve]
        lows, highs = zip(*(_interval(point) for point in curve), strict=True)
        axes.fill_between(epochs, lows, highs, color=color(index), alpha=0.14, linewidth=0)
        mark = "o" if len(epochs) == 1 else ""
        means = [point.mean for point in curve]
        axes.plot(epochs, means, color=color(index), linestyle=dash(index), marker=mark)
        ends.append((block, epochs[-1], means[-1]))
    n = summary.sizes["monitored"]
    axes.set_title(f"SNNL of each block over training\nvariant {plain(row.name)}, N = {n}")
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.margins(x=0.02)
    logarithmic = _scale(axes, [p.mean for c in row.snnl.values() for p in c], summary.chance)
    _chance(axes, summary.chance)
    label_ends(axes, ends, room)
    final = ", ".join(f"{block} {value:.3f}" for block, _, value in ends)
    return finish(
        drawing,
        "snnl-training",
        f"SNNL over training for the variant {row.name}; at the end: {final}; chance "
        f"{summary.chance:.2f}.",
        f"SNNL of each block over training, variant {row.name}: mean over {len(row.seeds)} seed"
        f"{'s' * (len(row.seeds) != 1)}, band: 95% interval, cut at 0"
        f"{_log_words(logarithmic)}. N = {n} held-out examples, the same everywhere; T is where "
        f"the SNNL is least; dashed: chance level {summary.chance:.2f}, where classes lie over one "
        "another. Low: classes apart.",
    )


def _at_end(summary: Summary) -> Figure:
    rows = summary.variants
    blocks = list(rows[0].snnl)
    room = widest(blocks, _LABELS_MOST)
    pitch = 6.5 if len(rows) <= 8 else 5.0
    band = max(20.0, pitch * len(rows) + 9)
    legend_rows = math.ceil(len(rows) / 4)
    top, bottom = 32 + 15 * legend_rows, 40
    height = band * len(blocks) + top + bottom
    drawing, axes = canvas(height, left=room + 14, right=14, top=top, bottom=bottom)
    for index, row in enumerate(rows):
        shift = (index - (len(rows) - 1) / 2) * pitch / band
        _dots(axes, row, blocks, shift, index)
    for border in range(1, len(blocks)):
        axes.axhline(border - 0.5, color=INK, alpha=0.16, linewidth=0.8)
    axes.set_ylim(len(blocks) - 0.5, -0.5)
    axes.set_yticks(range(len(blocks)), [plain(shorten(block, room)) for block in blocks])
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    ends = [row.snnl[block][-1] for row in rows for block in blocks]
    reach = max(min(_interval(p)[1], 1.6 * p.mean) for p in ends)
    axes.set_xlim(0, 1.08 * reach if reach > _NONE else summary.chance)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.grid(axis="x")
    axes.set_axisbelow(True)
    n = summary.sizes["monitored"]
    axes.set_xlabel(f"SNNL after training (chance {summary.chance:.2f})")
    drawing.text(
        8 / WIDTH, 1 - 8 / height, f"SNNL at the end of training, N = {n}", va="top", size=TITLE
    )
    drawing.legend(
        loc="upper left",
        bbox_to_anchor=(0, 1 - 22 / height),
        ncols=4,
        columnspacing=1.0,
        handletextpad=0.2,
        handlelength=1.2,
    )
    return finish(
        drawing,
        "snnl-end",
        "SNNL at the end of training for each block and variant. " + _end_words(rows),
        f"SNNL at the end of training for each block and variant: mean and 95% interval over "
        f"seeds, cut at 0 and where the axis ends. N = {n}, chance level {summary.chance:.2f}."
        f"{_input_words(rows)}",
    )


def _dots(axes: Axes, row: VariantSummary, blocks: list[str], shift: float, index: int) -> None:
    for place, block in enumerate(blocks):
        point = row.snnl[block][-1]
        low, high = _interval(point)
        height = [place + shift] * 2
        axes.plot([low, high], height, color=color(index), alpha=0.6, linewidth=1.2)
    means = [row.snnl[block][-1].mean for block in blocks]
    places = [place + shift for place in range(len(blocks))]
    label = plain(shorten(row.name, 64))
    style = {"color": color(index), "markersize": 5, "mew": 0, "ls": ""}
    axes.plot(means, places, marker(index), label=label, **style)


def _scale(axes: Axes, means: list[float], chance: float) -> bool:
    """Set the axis: linear from zero, or logarithmic where all is far below chance."""
    low, high = min(means), max(means)
    if high > _LOG_BELOW * chance or low <= 0:
        axes.set_ylim(0, 1.1 * max(high, chance))
        axes.grid(axis="y")
        return False
    axes.set_yscale("log", nonpositive="clip")
    axes.set_ylim(low / 1.6, 1.25 * chance)
    ticks = [t * 10.0**e for e in range(-9, 3) for t in (1, 2, 5)]
    axes.set_yticks([t for t in ticks if low / 1.6 <= t <= 1.25 * chance])
    axes.set_yticks([], minor=True)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.grid(axis="y")
    return True


def _chance(axes: Axes, chance: float) -> None:
    axes.axhline(chance, color=INK, alpha=0.7, linewidth=1.2, linestyle=(0, (4, 2)))
    axes.annotate(
        "chance",
        (0.01, chance),
        xycoords=("axes fraction", "data"),
        xytext=(0, 2),
        textcoords="offset points",
        va="bottom",
    )


def _interval(point: CurvePoint) -> tuple[float, float]:
    """Return the ends of an interval, cut at 0, below which no SNNL is."""
    low = point.mean if point.low is None else point.low
    high = point.mean if point.high is None else point.high
    return max(low, 0.0), max(high, 0.0)


def _log_words(logarithmic: bool) -> str:
    return ", on a logarithmic axis" if logarithmic else ""


def _input_words(rows: list[VariantSummary]) -> str:
    """Tell why the input has one value, where it has."""
    ends = {row.snnl["input"][-1].mean for row in rows if "input" in row.snnl}
    if len(rows) < 2 or len(ends) != 1:
        return ""
    return (
        " At the input all variants have the same: its features are the images themselves, of the "
        "same examples in every run."
    )


def _end_words(rows: list[VariantSummary]) -> str:
    return "; ".join(
        f"{row.name}: " + ", ".join(f"{b} {curve[-1].mean:.3f}" for b, curve in row.snnl.items())
        for row in rows
    )
