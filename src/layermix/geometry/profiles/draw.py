"""A profile as a picture: one panel for each quantity, over depth."""

import math
from pathlib import Path
from typing import TYPE_CHECKING

from layermix.errors import InputError
from layermix.geometry.profiles.values import ProfileValues
from layermix.geometry.quantities import QUANTITIES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


_COLUMNS, _WIDTH, _HEIGHT = 3, 3.4, 2.3  # panels side by side, and the inches of each
_NAMED = 12  # layers up to which all their names are written
_DECADES = 50  # largest over least from which an axis is logarithmic
_NOTHING = 1e-9  # drawn as zero: rounding, which an axis of decades would blow up
_NEAR = 1 / 3  # of the chance level from which its line is drawn: it would flatten the rest
_CHANCE = {"snnl": 1.0, "intrusion": 1.0, "intrusion_same": 1.0}


def draw(profile: ProfileValues, path: str | Path | None = None) -> "Figure":
    """Return a figure of its own, and save it to `path` where one is given.

    Neither pyplot nor its settings are touched.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise InputError("plot needs matplotlib: pip install matplotlib") from error
    shown = [
        q for q in profile.quantities if any(math.isfinite(v) for v in profile.quantity(q).values())
    ]
    if not shown:
        raise InputError("there is nothing to draw: no quantity of this profile is finite")
    rows = math.ceil(len(shown) / _COLUMNS)
    figure = Figure(figsize=(_COLUMNS * _WIDTH, rows * _HEIGHT + 1), layout="constrained")
    panels = list(figure.subplots(rows, _COLUMNS, sharex=True, squeeze=False).flat)
    for quantity, axes in zip(shown, panels, strict=False):
        _panel(axes, profile, quantity)
    for axes in panels[len(shown) :]:
        axes.remove()
    figure.suptitle(f"{profile.model}: N = {profile.n:,}, {profile.classes} classes")
    if path is not None:
        figure.savefig(path)
    return figure


def _panel(axes: "Axes", profile: ProfileValues, name: str) -> None:
    quantity = QUANTITIES[name]
    values = [v if not abs(v) < _NOTHING else 0.0 for v in profile.quantity(name).values()]
    places = range(len(values))
    axes.plot(places, values, marker="o", markersize=4, color="#2f86d0")
    finite = [v for v in values if math.isfinite(v)]
    if name in _CHANCE and max(finite) > _NEAR * _CHANCE[name]:
        axes.axhline(_CHANCE[name], linestyle="--", linewidth=1, color="grey")
    if min(finite) > 0 and max(finite) > _DECADES * min(finite):
        axes.set_yscale("log")
    elif quantity.bounds[0] == 0:  # so that noise does not fill a panel
        axes.set_ylim(0, max(1.08 * max(finite), _NOTHING))
    axes.set_title(f"{quantity.heading} {quantity.arrow}", fontsize=9)
    axes.grid(alpha=0.3)
    step = math.ceil(len(values) / _NAMED)
    names = [name.replace("$", r"\$") for name in profile.points[::step]]
    axes.set_xticks(places[::step], names, rotation=90, fontsize=8)
    axes.tick_params(axis="x", labelbottom=True)
