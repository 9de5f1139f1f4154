"""Reliability diagrams: accuracy over confidence, a panel for each variant."""

import math

from matplotlib.axes import Axes

from layermix.reporting.figures.style import (
    GRAY,
    Figure,
    canvas,
    color,
    finish,
    short_names,
    style,
)
from layermix.reporting.stored_predictions import Bin
from layermix.reporting.summary import Summary

_COLUMNS, _NAME = 3, 14
_CAPTION = (
    "Reliability diagrams: the share of correct predictions over their confidence, the probability "
    "of the predicted class, for the test examples of all seeds as trained. The area of a mark is "
    "its share of the examples; on the dashed line confidence and accuracy are equal, below it "
    "predictions are too confident."
)


@style()
def calibration_curves(summary: Summary) -> list[Figure]:
    """Draw the reliability diagram of each variant, if the logits are stored."""
    if summary.predictions is None:
        return []
    bins = summary.predictions.bins
    rows = math.ceil(len(bins) / _COLUMNS)
    drawing, panels = canvas(125 * rows + 30, rows, _COLUMNS)
    names = short_names(list(bins), _NAME)
    for index, (axes, found) in enumerate(zip(panels, bins.values(), strict=False)):
        _draw(axes, found, color(index))
        axes.set_title(names[index], fontsize="medium")
    for axes in panels[len(bins) :]:
        axes.set_axis_off()
    drawing.supxlabel("confidence, %")
    drawing.supylabel("accuracy, %")
    shown = "; ".join(
        f"{name}: " + ", ".join(f"{b.confidence:.0%} {b.accuracy:.0%}" for b in found)
        for name, found in bins.items()
    )
    return [finish(drawing, "reliability", f"Confidence and accuracy. {shown}.", _CAPTION)]


def _draw(axes: Axes, bins: list[Bin], tint: str) -> None:
    total = sum(each.count for each in bins)
    axes.plot([0, 100], [0, 100], color=GRAY, linewidth=1, linestyle="--", zorder=1)
    x, y = ([100 * value for value in values] for values in zip(*_places(bins), strict=True))
    axes.plot(x, y, color=tint, linewidth=1.2)
    axes.scatter(x, y, [8 + 60 * each.count / total for each in bins], color=tint, linewidths=0)
    axes.set(xlim=(0, 103), ylim=(0, 103), xticks=(0, 50, 100), yticks=(0, 50, 100), aspect="equal")


def _places(bins: list[Bin]) -> list[tuple[float, float]]:
    return [(each.confidence, each.accuracy) for each in bins]
