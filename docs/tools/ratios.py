"""Draw time ratios of benchmarks as dots with their range, in groups, on a logarithmic axis."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes

from layermix.reporting.figures.style import (
    INK,
    Figure,
    add_beside,
    canvas,
    color,
    finish,
    marker,
    set_scale,
    shorten,
    style,
)
from layermix.reporting.formatting import significant

_ROW, _NAME = 17, 30


@dataclass(frozen=True)
class Ratio:
    """A named time ratio: its median, minimum and maximum over the repetitions."""

    name: str
    median: float
    least: float
    most: float


@dataclass(frozen=True)
class Group:
    """A group of ratios with a title."""

    title: str
    ratios: Sequence[Ratio]


@style()
def ratios_figure(name: str, groups: Sequence[Group], axis: str, caption: str) -> Figure:
    """Draw groups of time ratios, one group below the other.

    Parameters
    ----------
    name
        Name of the figure.
    groups
        The ratios.
    axis
        Label of the axis.
    caption
        Caption of the figure.
    """
    drawing, (axes,) = canvas(60 + sum(_ROW * (len(group.ratios) + 1.5) for group in groups))
    place, names = 0.0, {}
    for index, group in enumerate(groups):
        names[place + 0.75] = group.title
        place += 1.5
        for ratio in group.ratios:
            names[place] = shorten(ratio.name, _NAME)
            _draw(axes, place, ratio, index)
            place += 1
    ends = [end for group in groups for r in group.ratios for end in (r.least, r.most, 1.0)]
    set_scale(axes, "x", ends, span=2)
    axes.set_ylim(place - 0.4, 0)
    axes.set_yticks(list(names), list(names.values()))
    titles = [group.title for group in groups]
    for label in axes.get_yticklabels():
        label.set(weight="bold" if label.get_text() in titles else "normal")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.axvline(1, color=INK, alpha=0.55, linewidth=1, linestyle="--", zorder=1)
    axes.grid(axis="x")
    axes.set_xlabel(axis)
    medians = "; ".join(
        f"{group.title}: " + ", ".join(f"{r.name} {significant(r.median)}" for r in group.ratios)
        for group in groups
    )
    return finish(drawing, name, f"{axis}. {medians}.", caption)


def _draw(axes: Axes, place: float, ratio: Ratio, group: int) -> None:
    tint = color(group)
    axes.plot([ratio.least, ratio.most], [place] * 2, color=tint, solid_capstyle="butt")
    axes.plot(ratio.median, place, marker(group), color=tint, markersize=6)
    add_beside(axes, place, significant(ratio.median))
