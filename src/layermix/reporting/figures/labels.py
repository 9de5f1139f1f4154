"""Labels that do not overlap: names shortened to a width, and lines labelled at their end."""

import functools
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.font_manager import fontManager, get_font

from layermix.reporting.figures.style import SMALL, color

_PITCH = 13.5  # points from one label to the next


def text_width(text: str, size: float = SMALL) -> float:
    """Return the width of a text in points, in a font wider than most."""
    return size * sum(map(_advance, text))


@functools.cache
def _advance(character: str) -> float:
    """Return the width of a character as a share of the text's size."""
    font = get_font(fontManager.findfont("DejaVu Sans"))
    if not font.get_char_index(ord(character)):
        return 1.0  # another script: about as wide as high
    font.set_size(100, 72)
    return font.load_char(ord(character)).linearHoriAdvance / 65536 / 100


def shorten(text: str, width: float, size: float = SMALL) -> str:
    """Return a text no wider than `width` points, its middle left out where it is longer."""
    if text_width(text, size) <= width:
        return text
    keep = len(text) - 1
    while keep > 2:
        head = keep // 3
        short = f"{text[:head]}…{text[head - keep :]}"
        if text_width(short, size) <= width:
            return short
        keep -= 1
    return text[:3]


def wrapped(text: str, width: float) -> str:
    """Return a text on lines of whole words, none wider than `width` points."""
    lines: list[str] = []
    for word in text.split():
        if lines and text_width(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(shorten(word, width))
    return "\n".join(lines)


def plain(text: str) -> str:
    """Return a text that matplotlib does not take for a formula."""
    return text.replace("$", r"\$")


def beside(axes: Axes, place: float, text: str, at: float = 1.03) -> None:
    """Write a text beside the axes, `at` so many of their widths, at a place of the vertical."""
    axes.annotate(
        plain(text),
        (at, place),
        xycoords=("axes fraction", "data"),
        va="center",
        annotation_clip=False,
    )


def widest(names: Sequence[str], most: float) -> float:
    """Return the width that labels need, at most `most` points."""
    return min(most, max(text_width(name) for name in names))


def spread(wanted: Sequence[float], pitch: float, low: float, high: float) -> list[float]:
    """Move positions apart until neighbors are `pitch` away, each group about its own middle.

    Parameters
    ----------
    wanted
        Where the labels would go.
    pitch
        Least distance; less where they do not all fit between `low` and `high`.
    low, high
        Ends of the room there is.
    """
    if not wanted:
        return []
    pitch = min(pitch, (high - low) / max(1, len(wanted) - 1))
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    groups: list[list[float]] = []  # each [sum of wanted starts, count]
    for rank, index in enumerate(order):
        groups.append([wanted[index] - rank * pitch, 1.0])
        while len(groups) > 1 and _mean(groups[-2]) >= _mean(groups[-1]):
            total, count = groups.pop()
            groups[-1] = [groups[-1][0] + total, groups[-1][1] + count]
    last = high - (len(wanted) - 1) * pitch
    starts = [min(max(_mean(g), low), last) for g in groups for _ in range(int(g[1]))]
    placed = [0.0] * len(wanted)
    for rank, index in enumerate(order):
        placed[index] = starts[rank] + rank * pitch
    return placed


def label_ends(axes: Axes, ends: Sequence[tuple[str, float, float]], width: float) -> None:
    """Write each line's name to the right of the axes, with a leader from the line's end.

    Parameters
    ----------
    axes
        Where the lines are; nothing may be drawn there later.
    ends
        For each line its name and the point where it ends, in the order of their colors.
    width
        Room for a name, in points.
    """
    axes.autoscale_view()  # limits are found late otherwise, and labels miss their lines
    box = axes.get_window_extent()
    scale = 72 / axes.figure.dpi  # pixels to points
    pixels = axes.transData.transform([(x, y) for _, x, y in ends])
    wanted = [min(max(float(y), box.y0), box.y1) * scale for _, y in pixels]
    placed = spread(wanted, _PITCH, box.y0 * scale, box.y1 * scale)
    for index, ((name, x, y), target) in enumerate(zip(ends, placed, strict=True)):
        axes.annotate(
            plain(shorten(name, width)),
            xy=(x, y),
            xytext=(box.x1 * scale + 14, target),
            textcoords="figure points",
            va="center",
            fontsize=SMALL,
            arrowprops={
                "arrowstyle": "-",
                "color": color(index),
                "linewidth": 0.8,
                "shrinkA": 1,
                "shrinkB": 1,
                "relpos": (0, 0.5),
            },
            annotation_clip=False,
        )


def _mean(group: list[float]) -> float:
    return group[0] / group[1]
