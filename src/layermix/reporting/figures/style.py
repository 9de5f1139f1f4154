"""The look that all pictures share: size, fonts, colors, and how a drawing becomes a `Figure`.

Ink (text, axes, ticks, grids) is drawn in one color that nothing else has and becomes
``currentColor`` in the SVG, so that one picture suits light and dark pages. Data colors have a
contrast of at least 3 on both, and never stand alone: markers, dashes or labels go with them.
All lengths are in points; a picture is as wide as a phone, so that its text stays readable there.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import StringIO
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure as Canvas

from layermix.reporting.figures.svg import INK, as_file, tidy

WIDTH = 374
SMALL, TITLE = 10.5, 11.5  # sizes of text
COLORS = (
    "#2f86d0",
    "#d55e00",
    "#00946c",
    "#b8559a",
    "#a97b00",
    "#7a6fd8",
    "#5c8a1e",
    "#c94a5b",
    "#0d95a6",
    "#857a70",
)
WARNING = "#e0393e"
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "p", "<", ">")
DASHES = ("-", (0, (5, 1.5)), (0, (1.2, 1.2)), (0, (6, 1.5, 1.2, 1.5)))

_RC: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": SMALL,
    "axes.labelsize": SMALL,
    "axes.titlesize": TITLE,
    "axes.titlelocation": "left",
    "axes.titlepad": 8,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.facecolor": "none",
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.unicode_minus": True,
    "figure.facecolor": "none",
    "grid.color": INK,
    "grid.alpha": 0.16,
    "grid.linewidth": 0.8,
    "legend.frameon": False,
    "legend.fontsize": SMALL,
    "legend.labelcolor": INK,
    "lines.linewidth": 1.8,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "svg.fonttype": "none",
    "svg.hashsalt": "layermix",
}


@dataclass(frozen=True)
class Figure:
    """A picture, or one panel of it.

    Attributes
    ----------
    name
        Its file name without ending, ``PICTURE`` or ``PICTURE-PANEL``.
    svg
        An ``<svg>`` element to put into a page; its ink has the page's text color.
    alt
        What it shows, for those who cannot see it.
    caption
        What one must know to read it.
    """

    name: str
    svg: str
    alt: str
    caption: str

    @property
    def picture(self) -> str:
        """The picture that this is a panel of."""
        return self.name.partition("-")[0]

    def standalone(self) -> str:
        """Return the content of an SVG file, which suits light and dark viewers."""
        return as_file(self.svg)


@contextmanager
def look() -> Iterator[None]:
    """Set the shared look inside the block, or as a decorator; the caller's own comes back."""
    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # the reader's own font has what ours lacks
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_RC)
        yield


def canvas(
    height: float, *, left: float = 44, right: float = 12, top: float = 26, bottom: float = 40
) -> tuple[Canvas, Axes]:
    """Return a canvas with one axes inside the given margins."""
    drawing = Canvas(figsize=(WIDTH / 72, height / 72))
    box = (
        left / WIDTH,
        bottom / height,
        (WIDTH - left - right) / WIDTH,
        (height - top - bottom) / height,
    )
    return drawing, drawing.add_axes(box)


def color(index: int) -> str:
    """Return the color of the class, variant or block of that index."""
    return COLORS[index % len(COLORS)]


def marker(index: int) -> str:
    """Return the marker that goes with the color; both repeat together only after 100."""
    return MARKERS[(index + index // len(COLORS)) % len(MARKERS)]


def dash(index: int) -> str | tuple:
    """Return the dash pattern that goes with the color."""
    return DASHES[(index + index // len(COLORS)) % len(DASHES)]


def finish(drawing: Canvas, name: str, alt: str, caption: str) -> Figure:
    """Return the drawing as a figure, byte for byte the same each time."""
    text = StringIO()
    FigureCanvasSVG(drawing).print_svg(text, metadata={"Date": None})
    return Figure(name, tidy(text.getvalue(), name, alt), alt, caption)
