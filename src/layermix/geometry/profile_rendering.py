"""Render a profile as a table in plain text or HTML, and as a figure."""

import math
from html import escape
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from layermix.errors import InputError
from layermix.geometry.quantities import QUANTITIES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from layermix.geometry.profile_result import LayerProfile, Profile

_NAME = 28  # maximum number of characters of a mix point's name
_ARROWS = "↓ lower, ↑ higher values: better separated classes or safer mixing; – not measured."
_ZERO, _ZERO_DRAWN = 1e-12, 1e-9  # smaller values are shown as zero, in text and in figures
_COLUMNS, _WIDTH, _HEIGHT = 3, 3.4, 2.3  # panels side by side, and the size of each in inches
_OVER_CHANCE = ("snnl", "intrusion", "intrusion_same")


def as_text(profile: "Profile") -> str:
    """Return a text table with one row for each layer, followed by notes."""
    quantities = [QUANTITIES[name] for name in profile.quantities]
    header = ["mix point", "features", *(f"{q.short} {q.arrow}" for q in quantities)]
    rows = [header, *map(_row, profile)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip()
        for row in rows
    ]
    return "\n".join([*lines, "", *_notes(profile)])


def as_html(profile: "Profile") -> str:
    """Return the table and the notes of a profile as HTML, for a notebook."""
    heads = "".join(
        f'<th title="{escape(f"{q.heading}: {q.meaning}")}">{escape(f"{q.short} {q.arrow}")}</th>'
        for q in map(QUANTITIES.__getitem__, profile.quantities)
    )
    rows = "".join(
        f'<tr><th title="{escape(layer.module)}, {escape(layer.pooled)}">{escape(layer.point)}'
        f"</th>{''.join(f'<td>{cell}</td>' for cell in _row(layer)[1:])}</tr>"
        for layer in profile
    )
    notes = "<br>".join(map(escape, _notes(profile)))
    return (
        f"<table><thead><tr><th>mix point</th><th>features</th>{heads}</tr></thead>"
        f"<tbody>{rows}</tbody></table><p>{notes}</p>"
    )


def legend(profile: "Profile") -> str:
    """Explain each column in one line: its heading, the name of the quantity, and the meaning."""
    rows, width = QUANTITIES.items(), max(map(len, profile.quantities))
    shown = [(name, q) for name, q in rows if name in profile.quantities]
    return "\n".join(f"{q.short:>8}  {n:{width}}  {q.heading}: {q.meaning}" for n, q in shown)


def draw_profile(profile: "Profile", path: str | Path | None = None) -> "Figure":
    """Draw one plot for each quantity, with its values from the first to the last layer."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise InputError("plot needs matplotlib: pip install matplotlib") from error
    finite = {q: any(map(math.isfinite, profile.quantity(q).values())) for q in profile.quantities}
    if not (shown := [name for name in finite if finite[name]]):
        raise InputError("there is nothing to draw: no quantity of this profile is finite")
    rows = math.ceil(len(shown) / _COLUMNS)
    figure = Figure(figsize=(_COLUMNS * _WIDTH, rows * _HEIGHT + 1), layout="constrained")
    panels = list(figure.subplots(rows, _COLUMNS, sharex=True, squeeze=False).flat)
    for name, axes in zip(shown, panels, strict=False):
        _draw_panel(axes, profile, name)
    for axes in panels[len(shown) :]:
        axes.remove()
    figure.suptitle(f"{profile.model}: N = {profile.n:,}, {profile.classes} classes")
    if path is not None:
        figure.savefig(path)
    return figure


def _draw_panel(axes: "Axes", profile: "Profile", name: str) -> None:
    values = [v if not abs(v) < _ZERO_DRAWN else 0.0 for v in profile.quantity(name).values()]
    places = range(len(values))
    axes.plot(places, values, marker="o", markersize=4, color="#2f86d0")
    finite = [v for v in values if math.isfinite(v)]
    if name in _OVER_CHANCE and max(finite) > 1 / 3:  # the line would flatten lower curves
        axes.axhline(1.0, linestyle="--", linewidth=1, color="gray")
    if min(finite) > 0 and max(finite) > 50 * min(finite):
        axes.set_yscale("log")
    elif QUANTITIES[name].bounds[0] == 0:  # otherwise noise would fill the panel
        axes.set_ylim(0, max(1.08 * max(finite), _ZERO_DRAWN))
    axes.set_title(f"{QUANTITIES[name].heading} {QUANTITIES[name].arrow}", fontsize=9)
    axes.grid(alpha=0.3)
    step = math.ceil(len(values) / 12)  # at most 12 tick labels
    names = [point.replace("$", r"\$") for point in profile.points[::step]]
    axes.set_xticks(places[::step], names, rotation=90, fontsize=8)
    axes.tick_params(axis="x", labelbottom=True)


def _notes(profile: "Profile") -> list[str]:
    """Return notes on the data, features, missing values and mix points, and explain the arrows."""
    pooled = "; ".join(
        f"{' to '.join(dict.fromkeys([points[0], points[-1]]))} {how}"
        for how, group in groupby(profile, lambda layer: layer.pooled)
        for points in [[layer.point for layer in group]]
    )
    about = f"{profile.model}: N = {profile.n:,} examples of {profile.classes} classes"
    if profile.mixed:
        ratios = ", ".join(f"{ratio:g}" for ratio in profile.ratios)
        about += f"; {profile.mixed} of them mixed at ratios {ratios}"
    if "snnl" in profile.quantities:
        about += f"; SNNL at chance is {profile.chance:.3f} nats"
        errors = [each.standard_error for each in profile if math.isfinite(each.standard_error)]
        if errors and profile.chance:
            error = max(errors) / profile.chance
            about += f", the standard error of SNNL / chance is at most {error:.3f}"
    return [f"{about}.", f"Features: {pooled}.", *profile.notices, *_advice(profile), _ARROWS]


def _advice(profile: "Profile") -> list[str]:
    """Return a sentence on where ``at="auto"`` would mix, or [] for fewer than two points."""
    layers = [layer for layer in profile if layer.kind != "logits" and math.isfinite(layer.snnl)]
    if len(layers) < 2:
        return []
    if all(profile.chance - layer.snnl < 2 * layer.standard_error for layer in layers):
        return ["No layer separates the classes: SNNL is within two standard errors of chance."]
    weights = profile.auto_weights()
    points = sorted(weights, key=lambda name: -weights[name])
    if weights[points[0]] < 1.1 * weights[points[-1]]:
        return ['By SNNL alone, at="auto" would mix nearly equally often at all these points.']
    shares = ", ".join(f"{name} ({weights[name]:.0%})" for name in points[:3])
    return [f'By SNNL alone, at="auto" would mix most often at {shares}.']


def _row(layer: "LayerProfile") -> list[str]:
    name = layer.point if len(layer.point) <= _NAME else f"…{layer.point[1 - _NAME :]}"
    return [name, f"{layer.features:,}", *map(_number, layer.values.values())]


def _number(value: float) -> str:
    """Format a value with at most seven characters."""
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if abs(value) >= _ZERO and not 1e-3 <= abs(value) < 1e4:
        return f"{value:.1e}".replace("e-0", "e-").replace("e+0", "e").replace("-", "−")
    digits = 3 if abs(value) < 10 else 2 if abs(value) < 100 else 1 if abs(value) < 1000 else 0
    return f"{value:.{digits}f}".replace("-", "−")
