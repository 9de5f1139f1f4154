"""Small multiples: panels in two columns under one title and one legend of all layers.

All lengths are in points. A panel's heading begins where the room for its tick labels does, so
that it may be as wide as its column.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D

from layermix.reporting.figures.labels import plain, shorten, widest
from layermix.reporting.figures.style import SMALL, TITLE, WIDTH, color, dash, marker

_COLUMNS = 2
_LENGTH, _PAD = 2.5, 2.0  # of a tick, and from it to its label
TICK = _LENGTH + _PAD
_EDGE = 8  # free at the left and right of the picture
_PLOT, _TICKS, _LINE = 86.0, 22.0, 13.5  # heights: a panel's plot, what is below it, a line of text
_RAISED = 8  # a heading, so that it is clear of a tick label at the top of the axis
_NAME_MOST, _HANDLE = 140, 36  # of the legend: points for a name, and for its mark and the gaps


@dataclass(frozen=True)
class Grid:
    """A canvas with panels on it.

    Attributes
    ----------
    drawing
        The canvas.
    axes
        The panels, row by row from the top.
    lefts
        For each panel the room at its left, which its heading may use.
    """

    drawing: Canvas
    axes: list[Axes]
    lefts: list[float]

    def head(self, panel: int, *lines: str) -> None:
        """Write the heading of a panel, line by line, shortened to its column."""
        axes, left = self.axes[panel], self.lefts[panel]
        width = left + axes.get_window_extent().width * 72 / self.drawing.dpi
        for row, text in enumerate(reversed(lines)):
            axes.annotate(
                plain(shorten(text, width)),
                (0, 1),
                xycoords="axes fraction",
                xytext=(-left, _RAISED + row * _LINE),
                textcoords="offset points",
                annotation_clip=False,
            )


def grid(
    count: int, title: str, layers: Sequence[Line2D], *, lefts: tuple[float, float], lines: int
) -> Grid:
    """Return a canvas with panels, under a title and the legend of the layers.

    Parameters
    ----------
    count
        Number of panels.
    title
        Title of the picture, which may have several lines.
    layers
        A mark for each layer, with its name as label.
    lefts
        Room for tick labels at the left of each column.
    lines
        Lines of a panel's heading.
    """
    rows = math.ceil(count / _COLUMNS)
    names = [str(mark.get_label()) for mark in layers]
    across = max(1, int((WIDTH - _EDGE) // (widest(names, _NAME_MOST) + _HANDLE)))
    title_ends = _EDGE + 17 * (title.count("\n") + 1)
    top = title_ends + 15 * math.ceil(len(names) / across) + 8
    pitch = _RAISED + _LINE * lines + _PLOT + _TICKS
    height = top + rows * pitch + 16  # the last is for the name of the lowest axis
    width = (WIDTH - sum(lefts) - 2 * _EDGE) / _COLUMNS
    drawing = Canvas(figsize=(WIDTH / 72, height / 72))
    drawing.text(_EDGE / WIDTH, 1 - _EDGE / height, title, va="top", size=TITLE, linespacing=1.4)
    drawing.legend(
        handles=list(layers),
        labels=[plain(shorten(name, _NAME_MOST)) for name in names],
        loc="upper left",
        bbox_to_anchor=(0, 1 - title_ends / height),
        ncols=across,
        columnspacing=1.2,
        handletextpad=0.4,
        handlelength=1.7,
        labelspacing=0.3,
        borderaxespad=0.4,
    )
    axes = []
    for index in range(count):
        row, column = divmod(index, _COLUMNS)
        left = lefts[0] if column == 0 else lefts[0] + width + _EDGE + lefts[1]
        bottom = height - top - row * pitch - (pitch - _TICKS)
        axes.append(
            drawing.add_axes((left / WIDTH, bottom / height, width / WIDTH, _PLOT / height))
        )
        axes[-1].tick_params(length=_LENGTH, pad=_PAD, labelsize=SMALL)
        axes[-1].grid(axis="y")
        axes[-1].set_axisbelow(True)
    return Grid(
        drawing,
        axes,
        [lefts[index % _COLUMNS] - _EDGE * (index % _COLUMNS == 0) for index in range(count)],
    )


def line(index: int, name: str) -> Line2D:
    """Return the legend's line for the layer of that index."""
    style: dict[str, Any] = {"color": color(index), "linestyle": dash(index)}
    return Line2D([], [], label=name, **style)


def spot(index: int, name: str) -> Line2D:
    """Return the legend's marker for the layer of that index."""
    style: dict[str, Any] = {"color": color(index), "marker": marker(index), "linestyle": ""}
    return Line2D([], [], markersize=6, markeredgewidth=0, label=name, **style)
