"""The style of all figures, and their conversion to SVG.

Text, axes and grids are drawn in one color that nothing else has. It becomes ``currentColor`` in
the SVG, so that one figure suits light and dark pages. Data colors have a contrast of at least 3 on
both, and are always combined with markers, dashes or labels. A figure is as wide as the screen of a
phone, so that its text is readable there. Lengths are in points.
"""

import math
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from io import StringIO
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from layermix.errors import printable

INK = "#010203"
WIDTH = 374
SMALL, TITLE = 10.5, 11.5  # font sizes
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
GRAY, WARNING = "#888888", "#e0393e"
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "p", "<", ">")
DASHES = ("-", (0, (5, 1.5)), (0, (1.2, 1.2)), (0, (6, 1.5, 1.2, 1.5)))
_CHARACTER, _HANDLE = 6.4, 38  # width of a character, and of a legend's handle with its gaps
_STYLE = (
    "svg{color:#24292f}@media screen and (prefers-color-scheme:dark){svg{color:#d9dde3}}"
    "svg text{font-family:system-ui,-apple-system,'Segoe UI',Roboto,Arial,sans-serif!important}"
)
_RC: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": INK,
    "axes.facecolor": "none",
    "axes.labelcolor": INK,
    "axes.labelsize": SMALL,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.titlesize": TITLE,
    "figure.constrained_layout.h_pad": 0.06,
    "figure.facecolor": "none",
    "font.family": "DejaVu Sans",
    "font.size": SMALL,
    "grid.alpha": 0.16,
    "grid.color": INK,
    "legend.columnspacing": 1.2,
    "legend.fontsize": SMALL,
    "legend.frameon": False,
    "legend.handletextpad": 0.5,
    "legend.labelcolor": INK,
    "lines.linewidth": 1.8,
    "lines.markeredgewidth": 0,
    "svg.fonttype": "none",
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": INK,
    "ytick.color": INK,
}


@dataclass(frozen=True)
class Figure:
    """A figure, or one panel of a figure, as SVG, with its alternative text and caption."""

    name: str  # FIGURE or FIGURE-PANEL, the name of its file
    svg: str  # an ``<svg>`` element for a page, whose text has the color of the page
    alt: str  # the content, for people who cannot see it
    caption: str  # how to read it

    def standalone(self) -> str:
        """Return the content of an SVG file that is readable on light and dark backgrounds."""
        return self.sized(f"\n<style>{_STYLE}</style>") + "\n"

    def sized(self, style: str = "") -> str:
        """Return the ``<svg>`` element with its size in points, and an optional style."""
        head, rest = self.svg.split(">", 1)
        width, height = re.findall(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', head)[0]
        return f'{head} width="{width}pt" height="{height}pt">{style}{rest}'

    def _repr_html_(self) -> str:
        return f"<figure>{self.sized()}<figcaption>{escape(self.caption)}</figcaption></figure>"


@contextmanager
def style() -> Iterator[None]:
    """Apply the style to the block or decorated function; then restore matplotlib's settings."""
    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # the font of the reader has what ours lacks
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_RC)
        yield


def canvas(height: float, rows: int = 1, columns: int = 1) -> tuple[Canvas, list[Axes]]:
    """Return a matplotlib figure of this height in points, and its axes row by row."""
    drawing = Canvas(figsize=(WIDTH / 72, height / 72), layout="constrained")
    return drawing, list(drawing.subplots(rows, columns, squeeze=False).flat)


def color(index: int) -> str:
    """Return the color of the class, variant or layer with this index."""
    return COLORS[index % len(COLORS)]


def marker(index: int) -> str:
    """Return the marker for an index; for 0 to 99, all pairs of color and marker differ."""
    return MARKERS[(index + index // len(COLORS)) % len(MARKERS)]


def dash(index: int) -> str | tuple:
    """Return the dash pattern of the line with this index."""
    return DASHES[(index + index // len(COLORS)) % len(DASHES)]


def shorten(text: str, most: int) -> str:
    """Shorten a text to at most `most` characters by removing its middle."""
    head = (most - 1) // 3
    return text if len(text) <= most else f"{text[:head]}…{text[head + 1 - most :]}"


def short_names(names: Sequence[str], most: int) -> list[str]:
    """Shorten names to at most `most` characters, except those that would become equal."""
    short = [shorten(name, most) for name in names]
    return [s if short.count(s) == 1 else n for n, s in zip(names, short, strict=True)]


def add_legend(target: Canvas | Axes, names: Sequence[str], **settings: Any) -> None:
    """Add a legend with as many columns as fit into the width."""
    columns = max(1, int(WIDTH // (max(map(len, names)) * _CHARACTER + _HANDLE)))
    rows = math.ceil(len(names) / columns)
    target.legend(ncols=math.ceil(len(names) / rows), **settings)


def add_shared_legend(drawing: Canvas, panels: Sequence[Axes]) -> None:
    """Add one legend above all panels."""
    found = {}
    for axes in panels:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    add_legend(drawing, list(found), handles=list(found.values()), loc="outside upper left")


def add_beside(axes: Axes, row: float, text: str) -> None:
    """Write a text to the right of the axes, at the height of a row."""
    place = {"xycoords": ("axes fraction", "data"), "va": "center", "annotation_clip": False}
    axes.annotate(text, (1.03, row), **place)


def set_scale(
    axes: Axes, which: str, values: Sequence[float], *, ticks: int = 4, span: float = 100
) -> bool:
    """Set a logarithmic axis, and return True, if the largest value is `span` times the smallest.

    The smallest value must be positive.
    """
    axis = axes.xaxis if which == "x" else axes.yaxis
    logarithmic = min(values) > 1e-9 and max(values) >= span * min(values)
    if logarithmic:
        axes.set(**{f"{which}scale": "log"})
        subs = (1.0,) if max(values) >= 100 * min(values) else (1.0, 2.0, 5.0)
        axis.set_major_locator(LogLocator(subs=subs, numticks=2 * ticks))
        axis.set_minor_locator(NullLocator())
    else:
        axis.set_major_locator(MaxNLocator(ticks, min_n_ticks=2))
    axis.set_major_formatter(lambda value, _: f"{value:.6g}".replace("-", "−"))
    return logarithmic


def finish(drawing: Canvas, name: str, alt: str, caption: str) -> Figure:
    """Convert a matplotlib figure to SVG; the same figure gives the same bytes."""
    text = StringIO()
    unknown = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with matplotlib.rc_context({"svg.hashsalt": name}):  # identifiers differ between figures
        FigureCanvasSVG(drawing).print_svg(text, metadata=unknown)
    return Figure(name, _element(printable(text.getvalue()), printable(alt)), alt, caption)


def _grouped(found: re.Match[str]) -> str:
    return f"<g{found[1]}>\n{found[0].replace(found[1], '')}</g>\n"


def _element(svg: str, alt: str) -> str:
    """Return the ``<svg>`` element of an SVG document, with alternative text, without its size."""
    svg = re.sub(r"<!--.*?-->|<defs>\s*<style.*?</style>\s*</defs>", "", svg, flags=re.DOTALL)
    head, body = svg[svg.index("<svg") :].split(">", 1)
    viewbox = re.findall(r'viewBox="[^"]*"', head)[0]
    edits: list[tuple[str, str | Callable[[re.Match[str]], str]]] = [
        (r' id="[A-Za-z][\w.]*_\d+"', ""),  # of groups, which nothing refers to
        (rf"(?<=: ){INK}\b", "currentColor"),
        (r"-?\d+\.\d{3,}(?=[^<>]*>)", lambda found: f"{float(found[0]):.2f}"),
        (r"\n\s*", "\n"),
        # Markers of one look have their style once, on a group, which halves the size.
        (r'<use [^>]*( style="[^"]*")/>\n(?:<use [^>]*\1/>\n)+', _grouped),
    ]
    for pattern, new in edits:
        body = re.sub(pattern, new, body)
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'class="layermix" {viewbox} role="img" aria-label="{escape(alt)}">{body.strip()}'
    )
