"""A sheet of small images, with titles above them and label weights below them.

All lengths are in points. A row has five cells. The label weights are drawn below each image as a
bar and as numbers; the weight of the first example comes first.
"""

from dataclasses import dataclass

import torch
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure as Canvas
from torch import Tensor

from docs.tools.blends.examples import levels
from layermix.reporting.figures.style import SMALL, WIDTH, color

COLUMNS = 5
_EDGE, _GAP = 8, 6
SIDE = (WIDTH - 2 * _EDGE - (COLUMNS - 1) * _GAP) / COLUMNS  # of an image
_HEAD, _FOOT, _BAR = 17, 26, 5
ROW = _HEAD + SIDE + _FOOT


@dataclass(frozen=True)
class Sheet:
    """A canvas with a row of small images, and with masks below them.

    Attributes
    ----------
    height
        Height of the canvas.
    drawing
        The canvas.
    """

    height: float
    drawing: Canvas

    def image(self, column: int, x: Tensor, head: str, own: int | None = None) -> Axes:
        """Draw an image (3, H, W) with values in [0, 1].

        Parameters
        ----------
        column
            Index of the cell.
        x
            The image.
        head
            Text above the image.
        own
            Index of the example, for a frame in its color; None for no colored frame.
        """
        axes = self._framed(column, _HEAD, levels(x).permute(1, 2, 0))
        if own is not None:
            axes.spines[:].set(color=color(own), linewidth=2.5, alpha=1)
        self.text(_left(column) + SIDE / 2, _HEAD - 5, head)
        return axes

    def weights(self, column: int, weights: Tensor) -> None:
        """Draw the label weights of both examples, (2,), below an image."""
        top = _HEAD + SIDE + 4
        axes = self.axes(_left(column), top, SIDE, _BAR)
        start = 0.0
        for example, weight in enumerate(weights.tolist()):
            axes.barh(0, weight, left=start, height=1, color=color(example))
            start += weight
        axes.set(xlim=(0, 1), ylim=(-0.5, 0.5))
        axes.set_axis_off()
        both = " + ".join(f"{weight:.2f}" for weight in weights.tolist())
        self.text(_left(column) + SIDE / 2, top + _BAR + 12, both)

    def below(self, column: int, mask: Tensor) -> None:
        """Draw a mask (H, W) below the weights, in the colors of both examples."""
        own, partner = (torch.tensor(to_rgb(color(k))) for k in (0, 1))
        self._framed(column, ROW, torch.lerp(partner, own, mask.float()[..., None]))

    def axes(self, left: float, top: float, width: float, height: float) -> Axes:
        """Return axes at a position of the sheet, in points from its top left corner."""
        bottom = 1 - (top + height) / self.height
        box = (left / WIDTH, bottom, width / WIDTH, height / self.height)
        return self.drawing.add_axes(box)

    def text(self, x: float, y: float, text: str) -> None:
        """Write a line of text centered at `x`, with its baseline `y` points below the top."""
        how = {"ha": "center", "va": "baseline", "size": SMALL}
        self.drawing.text(x / WIDTH, 1 - y / self.height, text, **how)

    def _framed(self, column: int, top: float, pixels: Tensor) -> Axes:
        axes = self.axes(_left(column), top, SIDE, SIDE)
        axes.imshow(pixels.numpy(), interpolation="none")
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines[:].set(visible=True, linewidth=0.6, alpha=0.5)
        return axes


def sheet(below: bool = False, height: float = ROW) -> Sheet:
    """Return an empty sheet; if `below` is True, it has space for masks."""
    height += (SIDE + _GAP) * below
    return Sheet(height, Canvas(figsize=(WIDTH / 72, height / 72)))


def _left(column: int) -> float:
    return _EDGE + column * (SIDE + _GAP)
