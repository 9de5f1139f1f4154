"""Figures of blends for which a mix at three ratios is not sufficient."""

import torch
from matplotlib.axes import Axes
from torch import Tensor

from docs.tools.blends.pairs import Column, mixed, originals, pairs
from docs.tools.blends.sheet import Sheet, sheet
from layermix.functional import mix
from layermix.mixing import Aligned, AppendClean, MomentExchange, MultiMix, Patches, PlanSampler
from layermix.reporting.figures.style import WIDTH, Figure, color, finish

_GRID, _WIDE = 16, 7  # height and width of the synthetic maps, and of their object
_FAINT = 1e-4  # scale of the position channels, so small that they do not change the alignment
_CORNERS = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.5, 0.866]])
_BATCH, _TALL = 64, 210


def patches() -> Figure:
    """Draw the soft version of `Patches` at two ratios, and the hard version."""
    soft = [Column(f"soft, {ratio:g}", Patches(), ratio) for ratio in (0.75, 0.25)]
    return pairs("patches", [*soft, Column("hard", Patches(soft=False), 0.5)])


def moment_exchange() -> Figure:
    """Draw both photographs, and each of them with the moments of the other one."""
    page, found = sheet(), mixed(MomentExchange(), 0.9)
    originals(page)
    for row, head in enumerate(("mixed 1", "mixed 2")):
        page.image(2 + row, found.values[row], head)
        page.weights(2 + row, found.labels[row])
    alt = "Two photographs, and each with the moments over channels of the other"
    return finish(page.drawing, "exchange", alt, alt)


def append_clean() -> Figure:
    """Draw the rows of a batch after `AppendClean`: the clean ones, then the mixed ones."""
    page, found = sheet(), mixed(AppendClean(), 0.7)
    heads = ("clean 1", "clean 2", "mixed 1", "mixed 2")
    for row, head in enumerate(heads):
        page.image(row, found.values[row], head, own=row if row < 2 else None)
        page.weights(row, found.labels[row])
    alt = "A batch of two photographs becomes four rows: both clean, then both mixed"
    return finish(page.drawing, "beside", alt, alt)


def aligned() -> Figure:
    """Draw an object at two places in two images, and how `Aligned` moves positions."""
    page, x = sheet(), torch.stack([_image(2, 3), _image(8, 7)])
    where = torch.stack(torch.meshgrid(*[torch.arange(float(_GRID))] * 2, indexing="ij"))
    traced = torch.cat([x, _FAINT * where.expand(2, -1, -1, -1)], 1)
    partner = mixed(Aligned(), 0.0, traced).values[0]
    page.image(0, x[0], "own", own=0)
    _arrows(page.image(1, x[1], "partner", own=1), partner[3:] / _FAINT, where, _inside(2, 3))
    page.image(2, partner[:3], "aligned")
    page.image(3, mixed(Aligned(), 0.5, x).values[0], "its mix")
    linear = PlanSampler(["input"], ratio=0.5, partner="derangement").draw(2)
    page.image(4, mix(x, linear)[0], "linear")
    for column, weights in enumerate(([1, 0], [0, 1], [0, 1], [0.5, 0.5], [0.5, 0.5])):
        page.weights(column, torch.tensor(weights))
    alt = (
        "An object at two places; the positions of the partner move to those of the example, so "
        "that the mix shows one object, but the linear mix shows two"
    )
    return finish(page.drawing, "aligned", alt, alt)


def multimix() -> Figure:
    """Draw mixes of three examples in the triangle between them, for two weight distributions."""
    page = sheet(height=_TALL)
    for column, law in enumerate(((0.5, 2.0), (0.05, 0.1))):
        _triangle(page, column, *law)
    alt = (
        "Mixes of three examples as points in the triangle between them: with U(0.5, 2) in the "
        "whole triangle, with U(0.05, 0.1) near the corners and edges"
    )
    return finish(page.drawing, "many", alt, alt)


def _inside(top: int, left: int) -> Tensor:
    """Return a mask that is True inside the object, bool (H, W)."""
    inside = torch.zeros(_GRID, _GRID, dtype=torch.bool)
    inside[top : top + _WIDE, left : left + _WIDE] = True
    return inside


def _image(top: int, left: int) -> Tensor:
    """Return an image of an object, (3, H, W); its colors show the positions on the object."""
    x = torch.full((3, _GRID, _GRID), 0.9)
    along = torch.linspace(0, 1, _WIDE)
    rows, columns = torch.meshgrid(along, along, indexing="ij")
    x[:, _inside(top, left)] = torch.stack([rows, 0.2 + 0 * rows, columns]).flatten(1)
    return x


def _arrows(axes: Axes, source: Tensor, where: Tensor, inside: Tensor) -> None:
    """Draw arrows from positions of the partner to every third position of the object."""
    for row, column in inside.nonzero()[::3].tolist():
        y, x = source[:, row, column].tolist()
        to_y, to_x = where[:, row, column].tolist()
        props = {"arrowstyle": "-|>", "lw": 0.7, "color": color(2), "mutation_scale": 5}
        axes.annotate("", (to_x, to_y), (x, y), arrowprops=props)


def _triangle(page: Sheet, column: int, low: float, high: float) -> None:
    """Draw 240 mixes of the three corners, and write the mean of the largest weight."""
    blend = MultiMix(k=80, low=low, high=high)
    points = mix(_CORNERS, PlanSampler(["final"], blend=blend, seed=0).draw(3))
    left, width = 8 + column * WIDTH / 2, WIDTH / 2 - 16
    axes = page.axes(left, 22, width, _TALL - 60)
    axes.plot(*_CORNERS[[0, 1, 2, 0]].T.numpy(), color=color(9), linewidth=0.8)
    axes.plot(*points.T.numpy(), "o", color=color(column), markersize=2.6, mew=0, alpha=0.7)
    axes.set_aspect("equal")
    axes.set_axis_off()
    batch = PlanSampler(["final"], blend=blend, seed=0).draw(_BATCH).draws["weights"]
    middle = left + width / 2
    page.text(middle, 14, f"low = {low:g}, high = {high:g}")
    largest = f"{float(batch.max(1).values.mean()):.2f}"
    page.text(middle, _TALL - 20, f"largest of {_BATCH} weights:")
    page.text(middle, _TALL - 6, f"{largest} on average")
