"""A figure over studies: gain from mixing at a layer over a measure of the layer."""

from layermix.reporting.figures.style import (
    INK,
    Figure,
    add_legend,
    canvas,
    color,
    finish,
    marker,
    set_scale,
    short_names,
    style,
)
from layermix.reporting.formatting import heading
from layermix.reporting.meta_study import MetaStudy

_MOST = 30  # pairs in the legend


@style()
def meta_figure(found: MetaStudy) -> list[Figure]:
    """Draw the layers of all pairs; none without a pair."""
    if not found.pairs:
        return []
    names = [f"{pair.data} {pair.model}" for pair in found.pairs]
    shown, measure = short_names(names, 24), heading(found.plan.measure)
    drawing, (axes,) = canvas(300 + 16 * min(len(names), _MOST) / 2)
    axes.axhline(0, color=INK, alpha=0.55, linewidth=0.8)
    for index, pair in enumerate(found.pairs):
        look = {"color": color(index), "marker": marker(index), "markersize": 5}
        axes.plot(pair.measure, pair.gain, linewidth=0.8, label=shown[index], **look)
    set_scale(axes, "x", [value for pair in found.pairs for value in pair.measure])
    axes.set(xlabel=f"{measure}, N = {found.plan.size}", ylabel="gain from mixing, points")
    if len(names) <= _MOST:
        add_legend(drawing, shown, loc="outside lower left")
    caption = (
        f"Each line is a pair of data and model, from its first to its last layer: {measure} "
        f"without mixing, and test accuracy with mixing there minus without, with "
        f"{found.plan.norm_stats} norm statistics."
    )
    return [finish(drawing, "meta", f"Gain over {measure} for {len(names)} pairs.", caption)]
