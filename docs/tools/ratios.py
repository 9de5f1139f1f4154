"""Ratios of benchmarks: each a dot on a logarithmic axis, its spread a line, in named groups."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from layermix.reporting.figures.labels import beside, plain, shorten, widest
from layermix.reporting.figures.scales import tick
from layermix.reporting.figures.style import WIDTH, Figure, canvas, color, finish, look, marker
from layermix.reporting.figures.svg import INK
from layermix.reporting.formatting import significant

_ROW, _HEAD = 17, 26  # points of a row and of a group's title
_MOST = 170  # of the names


@dataclass(frozen=True)
class Ratio:
    """One ratio: what it is of, median, least and most of the repetitions."""

    name: str
    median: float
    least: float
    most: float


@dataclass(frozen=True)
class Group:
    """Ratios that belong together, and what they are of."""

    title: str
    ratios: Sequence[Ratio]


@look()
def ratios_figure(name: str, groups: Sequence[Group], axis: str, caption: str) -> Figure:
    """Draw groups of ratios one below another, on one axis.

    Parameters
    ----------
    name
        Name of the picture.
    groups
        What to draw.
    axis
        What the axis says.
    caption
        What one must know to read it.
    """
    rows = [ratio for group in groups for ratio in group.ratios]
    left = widest([row.name for row in rows], _MOST) + 12
    height = 46 + sum(_HEAD + _ROW * len(group.ratios) for group in groups)
    drawing, axes = canvas(height, left=left, right=48, top=6, bottom=40)
    place, places = 0.0, {}
    for index, group in enumerate(groups):
        axes.text(
            -left / (WIDTH - left - 48), place + 0.75, plain(group.title), weight="bold",
            transform=axes.get_yaxis_transform(), va="center",
        )  # fmt: skip
        place += _HEAD / _ROW
        for ratio in group.ratios:
            places[place + 0.5] = ratio.name
            _draw(axes, place + 0.5, ratio, index)
            place += 1
    axes.set_xscale("log")
    axes.set_ylim(place, 0)
    axes.set_yticks(list(places), [plain(shorten(text, left - 12)) for text in places.values()])
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.axvline(1, color=INK, alpha=0.55, linewidth=1, linestyle=(0, (4, 2)), zorder=1)
    _ticks(axes, [end for row in rows for end in (row.least, row.most)])
    axes.grid(axis="x")
    axes.set_axisbelow(True)
    axes.set_xlabel(axis)
    told = "; ".join(
        f"{group.title}: "
        + ", ".join(f"{row.name} {significant(row.median)}" for row in group.ratios)
        for group in groups
    )
    return finish(drawing, name, f"{axis}. {told}.", caption)


def _draw(axes: Axes, place: float, ratio: Ratio, group: int) -> None:
    tint = color(group)
    axes.plot([ratio.least, ratio.most], [place] * 2, color=tint, solid_capstyle="butt")
    axes.plot(ratio.median, place, marker(group), color=tint, markersize=6, mew=0)
    beside(axes, place, significant(ratio.median))


def _ticks(axes: Axes, ends: Sequence[float]) -> None:
    """Show the numbers 1, 2, 5 of each decade that the ratios reach."""
    low, high = 0.85 * min(1.0, *ends), 1.15 * max(1.0, *ends)
    shown = [m * 10.0**e for e in range(-3, 5) for m in (1, 2, 5) if low <= m * 10.0**e <= high]
    axes.set_xlim(low, high)
    axes.xaxis.set_major_locator(FixedLocator(shown))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: tick(value)))
