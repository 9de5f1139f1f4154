"""The geometry of every layer over training without mixing: a panel for each quantity.

Computed from the records of the variant ``none``: quantities of the monitored batch at each point,
means over seeds. SNNL has a picture of its own, with intervals.
"""

from matplotlib.ticker import MaxNLocator

from layermix.geometry.quantities import QUANTITIES
from layermix.reporting.figures.panels import TICK, Grid, grid, line
from layermix.reporting.figures.scales import scale
from layermix.reporting.figures.style import Figure, color, dash, finish, look
from layermix.reporting.formatting import heading, listed
from layermix.reporting.summary import Summary
from layermix.reporting.variant import VariantSummary

_LEFTS = (46, 46)


@look()
def geometry(summary: Summary) -> list[Figure]:
    """Draw every quantity but SNNL over training; nothing where none was measured."""
    row = next((row for row in summary.variants if row.name == "none"), None)
    names = [name for name in row.geometry if name != "snnl"] if row else []
    if row is None or not names:
        return []
    marks = [line(index, point) for index, point in enumerate(row.snnl)]
    n = summary.sizes["monitored"]
    title = f"Geometry of each layer over training\nvariant none, N = {n}"
    found = grid(len(names), title, marks, lefts=_LEFTS, lines=1)
    logs = [name for place, name in enumerate(names) if _panel(found, place, row, name)]
    for axes in found.axes[-2:]:
        axes.set_xlabel("epoch", labelpad=1)
    return [finish(found.drawing, "geometry-training", _alt(row, names), _caption(n, row, logs))]


def _panel(found: Grid, place: int, row: VariantSummary, name: str) -> bool:
    """Draw one quantity; return whether its axis is logarithmic."""
    axes, points = found.axes[place], list(row.snnl)
    for point, curve in row.geometry[name].items():
        index, epochs = points.index(point), [each.epoch for each in curve]
        style = {"color": color(index), "linestyle": dash(index), "linewidth": 1.5}
        mark = "o" if len(epochs) == 1 else ""
        axes.plot(epochs, [p.mean for p in curve], marker=mark, markersize=4, mew=0, **style)
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.margins(x=0.03, y=0.08)
    found.head(place, QUANTITIES[name].heading)
    curves = row.geometry[name].values()
    means = [p.mean for curve in curves for p in curve]
    ends, room = [curve[-1].mean for curve in curves], min(_LEFTS) - TICK
    return scale(axes, "y", means, ticks=4, ends=ends, room=room)


def _alt(row: VariantSummary, names: list[str]) -> str:
    ends = "; ".join(
        f"{QUANTITIES[name].heading}: "
        + ", ".join(f"{point} {curve[-1].mean:.3g}" for point, curve in row.geometry[name].items())
        for name in names
    )
    return f"Quantities of each layer over training without mixing. At the end: {ends}."


def _caption(n: int, row: VariantSummary, logs: list[str]) -> str:
    names = listed([heading(name) for name in logs], most=len(logs)) if logs else ""
    log = f" Logarithmic axis, for wide spread or a high peak: {names}." if logs else ""
    return (
        f"What happens to each layer in training without mixing: mean over {len(row.seeds)} seed"
        f"{'s' * (len(row.seeds) != 1)}, without bands, which would hide one another; intervals "
        f"at the end are in the table. N = {n} held-out examples, the same everywhere.{log}"
    )
