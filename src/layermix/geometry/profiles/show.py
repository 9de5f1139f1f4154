"""A profile as a table: in plain text, and for a notebook."""

import math
from html import escape
from itertools import groupby

from layermix.geometry.measures import Quantity
from layermix.geometry.profiles.auto import auto_weights
from layermix.geometry.profiles.values import LayerProfile, ProfileValues
from layermix.geometry.quantities import QUANTITIES

_NAME = 28  # characters of a mix point's name that are shown
_APART = "↓ low, ↑ high where the classes are apart or mixing is safe; – not measured."
_NOTHING = 1e-12  # shown as zero: rounding
_ALIKE = 1.1  # largest over least weight below which points are as good as alike
_ADVISED = 3  # points named of those where a mixer would mix


def as_text(profile: ProfileValues) -> str:
    """Return a table with a row for each layer, and below it how its features came about."""
    header = ["mix point", "features", *map(_heading, _quantities(profile))]
    rows = [header, *(_row(layer) for layer in profile)]
    widths = [max(len(row[k]) for row in rows) for k in range(len(header))]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip()
        for row in rows
    ]
    return "\n".join([*lines, "", *about(profile), _APART])


def as_html(profile: ProfileValues) -> str:
    """Return the same as HTML, for a notebook."""
    heads = "".join(
        f'<th title="{escape(f"{q.heading}: {q.meaning}")}">{escape(_heading(q))}</th>'
        for q in _quantities(profile)
    )
    rows = "".join(_html_row(layer) for layer in profile)
    notes = "<br>".join(map(escape, [*about(profile), _APART]))
    return (
        f"<table><thead><tr><th>mix point</th><th>features</th>{heads}</tr></thead>"
        f"<tbody>{rows}</tbody></table><p>{notes}</p>"
    )


def about(profile: ProfileValues) -> list[str]:
    """Return what was measured, on how many examples, from which positions, and what it says."""
    pooled = "; ".join(
        f"{_span([layer.point for layer in same])} {how}"
        for how, same in groupby(profile, lambda layer: layer.pooled)
    )
    ratios = ", ".join(f"{ratio:g}" for ratio in profile.ratios)
    mixed = f"; {profile.mixed} of them mixed at ratios {ratios}" if profile.mixed else ""
    snnl = "snnl" in profile.quantities
    chance = f"; SNNL at chance is {profile.chance:.3f} nats{_error(profile)}" if snnl else ""
    return [
        f"{profile.model}: N = {profile.n:,} examples of {profile.classes} classes, the same at "
        f"every layer{mixed}{chance}.",
        f"Features: {pooled}.",
        *profile.notices,
        *(_advice(profile) if snnl else []),
    ]


def legend(profile: ProfileValues) -> str:
    """Return what each column is, a line for each, with the name that `quantities` takes."""
    rows = [(f"{QUANTITIES[name].short:>8}", name) for name in profile.quantities]
    width = max(len(name) for _, name in rows)
    return "\n".join(
        f"{short}  {name:{width}}  {QUANTITIES[name].heading}: {QUANTITIES[name].meaning}"
        for short, name in rows
    )


def number(value: float) -> str:
    """Return a value with three significant digits, in seven characters at most."""
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if abs(value) >= _NOTHING and not 1e-3 <= abs(value) < 1e4:
        return f"{value:.1e}".replace("e-0", "e-").replace("e+0", "e").replace("-", "−")
    digits = 3 if abs(value) < 10 else 2 if abs(value) < 100 else 1 if abs(value) < 1000 else 0
    return f"{value:.{digits}f}".replace("-", "−")


def _quantities(profile: ProfileValues) -> list[Quantity]:
    return [QUANTITIES[name] for name in profile.quantities]


def _advice(profile: ProfileValues) -> list[str]:
    """Return where a mixer would mix by the rule of ``at="auto"``, where there is a choice."""
    layers = [layer for layer in profile if layer.kind != "logits" and math.isfinite(layer.snnl)]
    if len(layers) < 2:
        return []
    if all(profile.chance - layer.snnl < 2 * layer.standard_error for layer in layers):
        return ["Classes are shown to be apart at no layer: all are within two standard errors."]
    weights = auto_weights(profile)
    most = sorted(weights, key=lambda name: -weights[name])
    shares = ", ".join(f"{name} ({weights[name]:.0%})" for name in most[:_ADVISED])
    alike = weights[most[0]] < _ALIKE * weights[most[-1]]
    where = "all these points nearly alike" if alike else f"most often at {shares}"
    return [f'The rule of at="auto", which reads SNNL alone, would mix {where}.']


def _error(profile: ProfileValues) -> str:
    """Return the largest standard error of SNNL over chance, in words."""
    errors = [layer.standard_error for layer in profile if math.isfinite(layer.standard_error)]
    if not errors or not profile.chance:
        return ""
    return f", its standard error over examples {max(errors) / profile.chance:.3f} at most"


def _heading(quantity: Quantity) -> str:
    return f"{quantity.short} {quantity.arrow}"


def _row(layer: LayerProfile) -> list[str]:
    name = layer.point if len(layer.point) <= _NAME else f"…{layer.point[1 - _NAME :]}"
    return [name, f"{layer.features:,}", *map(number, layer.values.values())]


def _html_row(layer: LayerProfile) -> str:
    cells = "".join(f"<td>{number(value)}</td>" for value in layer.values.values())
    return (
        f'<tr><th title="{escape(layer.module)}, {escape(layer.pooled)}">{escape(layer.point)}</th>'
        f"<td>{layer.features:,}</td>{cells}</tr>"
    )


def _span(points: list[str]) -> str:
    return points[0] if len(points) == 1 else f"{points[0]} to {points[-1]}"
