"""The course of training: training loss and validation accuracy after each epoch, by variant.

Computed from the records of every epoch, as means over the finished seeds. Bands would hide one
another; the spread over seeds is in the accuracy picture and in the tables.
"""

from collections.abc import Callable

from matplotlib.ticker import FuncFormatter, MaxNLocator

from layermix.reporting.figures.labels import label_ends, widest
from layermix.reporting.figures.style import Figure, canvas, color, dash, finish, look
from layermix.reporting.summary import Summary
from layermix.reporting.variant import Curve, VariantSummary

_LABELS_MOST = 104
_LARGE = 1000  # numbers from there on are written with an exponent
_ABOUT = "Mean over seeds, without bands, which would hide one another."
_MIXED = (
    " Where a variant mixes, its loss is on mixed examples and labels, so that losses of different "
    "variants are not comparable."
)


@look()
def curves(summary: Summary) -> list[Figure]:
    """Draw training loss and validation accuracy over epochs."""
    return [
        _draw(summary, "curves-loss", "Training loss", lambda row: row.train_loss, 1, _MIXED),
        _draw(summary, "curves-accuracy", "Validation accuracy, %", _val_accuracy, 100, ""),
    ]


def _val_accuracy(row: VariantSummary) -> Curve:
    return row.val_accuracy


def _draw(
    summary: Summary,
    name: str,
    title: str,
    read: Callable[[VariantSummary], Curve],
    scale: float,
    more: str,
) -> Figure:
    rows = [row for row in summary.variants if read(row)]
    room = widest([row.name for row in rows], _LABELS_MOST)
    large = max(scale * point.mean for row in rows for point in read(row)) >= _LARGE
    left = 60 if large else 38
    drawing, axes = canvas(max(250, 14 * len(rows) + 70), left=left, right=room + 24)
    if large:
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
    ends = []
    for index, row in enumerate(rows):
        epochs = [point.epoch for point in read(row)]
        means = [scale * point.mean for point in read(row)]
        mark = "o" if len(epochs) == 1 else ""
        axes.plot(epochs, means, color=color(index), linestyle=dash(index), marker=mark)
        ends.append((row.name, epochs[-1], means[-1]))
    axes.set_title(title)
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.grid(axis="y")
    axes.margins(x=0.02)
    label_ends(axes, ends, room)
    final = ", ".join(f"{label} {value:.4g}" for label, _, value in ends)
    return finish(
        drawing,
        name,
        f"{title} over epochs for each variant; at the end: {final}.",
        f"{title.partition(',')[0]}. {_ABOUT}{more}",
    )
