"""Line plots over epochs: one line for each variant or layer, the mean over seeds.

Only the plot of SNNL has intervals, as bands; in the other plots, bands would hide each other.
"""

import math
import textwrap
from collections.abc import Callable

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from layermix.reporting.figures.style import (
    GRAY,
    Figure,
    add_legend,
    add_shared_legend,
    canvas,
    color,
    dash,
    finish,
    set_scale,
    short_names,
    shorten,
    style,
)
from layermix.reporting.formatting import heading, listed, plural
from layermix.reporting.summary import Summary
from layermix.reporting.variant import Curve, VariantSummary

_NAME = 22  # characters of a name in a legend
_MIXED = (
    " The loss of a variant that mixes is that of mixed examples and labels: losses of different "
    "variants are not comparable."
)

_SEEDS = 100  # thin lines of a panel


@style()
def training_curves(summary: Summary) -> list[Figure]:
    """Draw training loss and validation accuracy of each variant."""
    panels: list[tuple[str, str, Callable[[VariantSummary], Curve], float, str]] = [
        ("curves-loss", "Training loss", lambda row: row.train_loss, 1, _MIXED),
        ("curves-accuracy", "Validation accuracy, %", lambda row: row.val_accuracy, 100, ""),
    ]
    figures = []
    for name, title, read, scale, note in panels:
        curves = {row.name: read(row) for row in summary.variants if read(row)}
        if not curves:
            continue
        caption = f"{title.partition(',')[0]} of each variant, mean over seeds.{note}"
        figures.append(_draw(name, title, curves, scale, caption))
    return figures


@style()
def seed_curves(summary: Summary) -> list[Figure]:
    """Draw the validation accuracy of each seed, at most 100, in a panel for each variant."""
    rows = [row for row in summary.variants if len(row.val_accuracy) > 1]
    if not rows:
        return []
    lines = math.ceil(len(rows) / 3)
    drawing, panels = canvas(105 * lines + 40, lines, 3)
    names = short_names([row.name for row in rows], 14)
    for index, (axes, row) in enumerate(zip(panels, rows, strict=False)):
        epochs, tint = [point.epoch for point in row.val_accuracy], color(index)
        for values in list(row.seed_curves.values())[:_SEEDS]:
            axes.plot(epochs, [100 * v for v in values], color=tint, alpha=0.35, linewidth=0.8)
        axes.plot(epochs, [100 * point.mean for point in row.val_accuracy], color=tint)
        axes.set_title(names[index], fontsize="medium")
        axes.xaxis.set_major_locator(MaxNLocator(2, integer=True))
        axes.sharey(panels[0]) if index else None
    for axes in panels[len(rows) :]:
        axes.set_axis_off()
    drawing.supxlabel("epoch")
    drawing.supylabel("validation accuracy, %")
    most = max(len(row.seed_curves) for row in rows)
    which = f"the first {_SEEDS} seeds" if most > _SEEDS else "every seed"
    caption = f"Validation accuracy of {which} (thin) and the mean of all, for each variant."
    ends = ", ".join(f"{row.name} {row.val_accuracy[-1].mean:.2%}" for row in rows)
    alt = f"Validation accuracy of {which} over epochs. Means at the end: {ends}."
    return [finish(drawing, "curves-seeds", alt, caption)]


@style()
def snnl_curves(summary: Summary) -> list[Figure]:
    """Draw SNNL at each layer over epochs: without mixing, or of the first variant if all mix."""
    row = summary.unmixed or summary.variants[0]
    if summary.chance is None:
        return []
    n = summary.sizes["monitored"]
    caption = (
        f"SNNL of {n} held-out examples at each layer; variant {row.name}, mean and 95% interval "
        f"over {plural(len(row.seeds), 'seed')}. At chance "
        f"level ({summary.chance:.2f}) the classes overlap completely."
    )
    title = f"SNNL over training, N = {n}\nvariant {shorten(row.name, 40)}"
    return [_draw("snnl-training", title, row.snnl, 1, caption, chance=summary.chance)]


@style()
def weight_curves(summary: Summary) -> list[Figure]:
    """Draw the weights of the mix points over epochs, for a variant that adapts them."""
    row = next((row for row in summary.variants if row.weights), None)
    if row is None:
        return []
    caption = (
        f"How often the variant {row.name} mixes at each layer, mean over "
        f"{plural(len(row.seeds), 'seed')}."
    )
    title = f"Weight of each layer, %, variant {shorten(row.name, 24)}"
    return [_draw("weights", title, row.weights, 100, caption)]


@style()
def geometry_curves(summary: Summary) -> list[Figure]:
    """Draw a plot for each quantity but SNNL: its values over epochs, a line for each layer."""
    row = summary.unmixed
    names = [name for name in row.geometry if name != "snnl"] if row else []
    if row is None or not names:
        return []
    rows = math.ceil(len(names) / 2)
    lines = math.ceil(len(row.snnl) / 3)
    drawing, panels = canvas(130 * rows + 16 * lines + 40, rows, 2)
    logs = []
    for axes, name in zip(panels, names, strict=False):
        curves = row.geometry[name]
        _plot(axes, curves, 1, list(row.snnl))
        if set_scale(axes, "y", [point.mean for curve in curves.values() for point in curve]):
            logs.append(heading(name))
        axes.set_title(textwrap.fill(heading(name), 25), fontsize="medium")
    for axes in panels[len(names) :]:
        axes.set_axis_off()
    drawing.supxlabel("epoch")
    n = summary.sizes["monitored"]
    add_shared_legend(drawing, panels)
    ends = "; ".join(f"{heading(name)}: {_ends(row.geometry[name], 1)}" for name in names)
    log = f" Logarithmic axis: {listed(logs, len(logs))}." if logs else ""
    caption = (
        f"Quantities of each layer over training without mixing, N = {n} held-out examples, mean "
        f"over {plural(len(row.seeds), 'seed')}. The table has the intervals at the end.{log}"
    )
    alt = f"Quantities of each layer over training without mixing. At the end: {ends}."
    return [finish(drawing, "geometry-training", alt, caption)]


def _draw(
    name: str,
    title: str,
    curves: dict[str, Curve],
    scale: float,
    caption: str,
    chance: float | None = None,
) -> Figure:
    """Draw named curves; if `chance` is given, also intervals and a line at this level."""
    drawing, (axes,) = canvas(260 + 16 * math.ceil(len(curves) / 3))
    if chance is not None:
        axes.axhline(chance, color=GRAY, linewidth=1.2, linestyle=":", label="chance")
        for index, curve in enumerate(curves.values()):
            lows = [max(p.mean if p.low is None else p.low, 0.0) for p in curve]
            highs = [p.mean if p.high is None else p.high for p in curve]
            epochs = [p.epoch for p in curve]
            axes.fill_between(epochs, lows, highs, color=color(index), alpha=0.14, linewidth=0)
    _plot(axes, curves, scale, list(curves))
    values = [scale * point.mean for curve in curves.values() for point in curve]
    if chance is None:
        set_scale(axes, "y", values, span=math.inf)
    elif set_scale(axes, "y", [*values, chance], span=10):
        caption += " Logarithmic axis."
    else:
        axes.set_ylim(bottom=0)
    axes.set_xlabel("epoch")
    drawing.suptitle(title, fontsize="large", x=0.02, ha="left")
    add_legend(drawing, axes.get_legend_handles_labels()[1], loc="outside lower left")
    alt = f"{title} over epochs. At the end: {_ends(curves, scale)}."
    return finish(drawing, name, alt.replace("\n", ", "), caption)


def _plot(axes: Axes, curves: dict[str, Curve], scale: float, order: list[str]) -> None:
    """Plot curves; the index of a curve in `order` sets its color."""
    names = dict(zip(order, short_names(order, _NAME), strict=True))
    for name, curve in curves.items():
        index, epochs = order.index(name), [point.epoch for point in curve]
        look = {"color": color(index), "linestyle": dash(index), "linewidth": 1.6}
        mark = "o" if len(epochs) == 1 else ""
        means = [scale * point.mean for point in curve]
        axes.plot(epochs, means, marker=mark, markersize=4, label=names[name], **look)
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.grid(axis="y")


def _ends(curves: dict[str, Curve], scale: float) -> str:
    return ", ".join(f"{name} {scale * curve[-1].mean:.4g}" for name, curve in curves.items())
