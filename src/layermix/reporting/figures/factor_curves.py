"""Curves of each variant over a factor: test accuracy, and its difference from the baseline."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from layermix.reporting.figures.style import (
    GRAY,
    INK,
    Figure,
    add_legend,
    canvas,
    color,
    dash,
    finish,
    marker,
    set_scale,
    short_names,
    style,
)
from layermix.reporting.level_summary import LevelSummary
from layermix.reporting.statistics import Estimate
from layermix.reporting.summary import Summary

_HEIGHT, _NAME = 300, 22
_TICKS = 6  # levels that each have a tick


@style()
def factor_figures(levels: Sequence[LevelSummary]) -> list[Figure]:
    """Draw two figures over the first factor for each combination of the other factors."""
    factor, *others = levels[0].level
    groups: dict[str, list[LevelSummary]] = {}
    for each in levels:
        rest = ", ".join(f"{name.replace('_', ' ')} {each.level[name]}" for name in others)
        groups.setdefault(rest, []).append(each)
    figures = []
    for number, (rest, found) in enumerate(groups.items()):
        title = f" ({rest})" if rest else ""
        suffix = f"-{number + 1}" if len(groups) > 1 else ""
        figures.append(_draw(found, factor, title, f"factor-accuracy{suffix}", gains=False))
        if levels[0].summary.family:
            figures.append(_draw(found, factor, title, f"factor-gains{suffix}", gains=True))
    return figures


def _draw(found: list[LevelSummary], factor: str, title: str, name: str, *, gains: bool) -> Figure:
    first = found[0].summary
    variants = [row.name for row in first.variants if not gains or row.name != first.baseline]
    drawing, (axes,) = canvas(_HEIGHT)
    x, ends = [each.level[factor] for each in found], list[str]()
    for k, variant in enumerate(variants):
        values = [_value(each.summary, variant, gains) for each in found]
        index = [row.name for row in first.variants].index(variant)
        plot_estimates(axes, x, values, index, short_names(variants, _NAME)[k])
        shown = ", ".join(f"{v} {100 * e.mean:.2f}" for v, e in zip(x, values, strict=True) if e)
        ends.append(f"{variant}: {shown}")
    what = f"test accuracy minus {first.baseline}, points" if gains else "test accuracy, %"
    if gains:
        axes.axhline(0, color=INK, alpha=0.55, linewidth=0.8)
        margin = 100 * first.margin
        axes.axhspan(-margin, margin, color=GRAY, alpha=0.16, linewidth=0)
    set_scale(axes, "x", x, span=5)
    if len(x) <= _TICKS:
        axes.set_xticks(x)
    axes.set(xlabel=factor.replace("_", " "), ylabel=what)
    axes.grid(axis="y")
    add_legend(drawing, variants, loc="outside lower left")
    band = " Differences in the gray band count as practically equal." if gains else ""
    caption = (
        f"{what.capitalize()}, over {factor.replace('_', ' ')}{title}: mean and 95% interval over "
        f"{first.unit}.{band}"
    )
    return finish(drawing, name, f"{what.capitalize()}: {'; '.join(ends)}.", caption)


def _value(summary: Summary, variant: str, gains: bool) -> Estimate | None:
    if gains:
        gap = summary.difference(variant, "accuracy")
        return gap and gap.estimate
    row = summary.variant(variant)
    return row and row.test["accuracy"]


def plot_estimates(
    axes: Axes, x: Sequence[float], values: Sequence[Estimate | None], index: int, name: str
) -> None:
    """Plot shares in percent as a curve with intervals; missing values are left out."""
    known = [(place, each) for place, each in zip(x, values, strict=True) if each]
    means = np.array([100 * each.mean for _, each in known])
    lows = [100 * (each.mean if each.low is None else each.low) for _, each in known]
    highs = [100 * (each.mean if each.high is None else each.high) for _, each in known]
    bars = np.abs(np.array([lows, highs]) - means)
    look = {"color": color(index), "linestyle": dash(index), "elinewidth": 1, "markersize": 5}
    places = [place for place, _ in known]
    axes.errorbar(places, means, yerr=bars, marker=marker(index), label=name, capsize=2, **look)
