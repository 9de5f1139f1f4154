"""What ``auto`` chose: how often each layer is mixed, over training.

Computed from the weights in the records of the variant whose mix point is chosen while training,
as means over seeds.
"""

from matplotlib.ticker import MaxNLocator

from layermix.reporting.figures.labels import label_ends, plain, widest
from layermix.reporting.figures.style import Figure, canvas, color, dash, finish, look
from layermix.reporting.summary import Summary
from layermix.reporting.variant import VariantSummary

_LABELS_MOST = 104


@look()
def weights(summary: Summary) -> list[Figure]:
    """Draw the weight of each layer over training; nothing where no variant chose any."""
    row = next((row for row in summary.variants if row.weights), None)
    return [_draw(row)] if row else []


def _draw(row: VariantSummary) -> Figure:
    room = widest(list(row.weights), _LABELS_MOST)
    height = max(230, 14 * len(row.weights) + 80)
    drawing, axes = canvas(height, left=40, right=room + 24)
    ends = []
    for index, (point, curve) in enumerate(row.weights.items()):
        epochs, means = [p.epoch for p in curve], [100 * p.mean for p in curve]
        mark = "o" if len(epochs) == 1 else ""
        axes.plot(epochs, means, color=color(index), linestyle=dash(index), marker=mark)
        ends.append((point, epochs[-1], means[-1]))
    axes.set_title(f"Weight of each layer, %, variant {plain(row.name)}")
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.set_ylim(bottom=0)
    axes.margins(x=0.02)
    axes.grid(axis="y")
    label_ends(axes, ends, room)
    final = ", ".join(f"{point} {value:.1f}%" for point, _, value in ends)
    return finish(
        drawing,
        "weights",
        f"How often {row.name} mixes at each layer, over epochs; at the end: {final}.",
        f"How often the variant {row.name} mixes at each layer: mean over {len(row.seeds)} seed"
        f"{'s' * (len(row.seeds) != 1)}, without bands, which would hide one another.",
    )
