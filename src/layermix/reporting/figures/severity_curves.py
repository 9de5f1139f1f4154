"""Accuracy of each variant over the severity of corruptions."""

import numpy as np

from layermix.reporting.figures.style import (
    Figure,
    add_legend,
    canvas,
    color,
    dash,
    finish,
    marker,
    short_names,
    style,
)
from layermix.reporting.summary import Summary

_HEIGHT, _NAME = 300, 22


@style()
def severity_curves(summary: Summary) -> list[Figure]:
    """Draw the mean accuracy over corruptions at each severity; none if nothing was evaluated."""
    found = summary.other_data
    if found is None or not found.severities:
        return []
    severities = list(found.severities)
    drawing, (axes,) = canvas(_HEIGHT)
    names = [row.name for row in summary.variants]
    ends = []
    for k, name in enumerate(names):
        estimates = [found.mean(values, name) for values in found.severities.values()]
        known = [(x, e) for x, e in zip(severities, estimates, strict=True) if e]
        means = np.array([100 * e.mean for _, e in known])
        axes.plot(
            [x for x, _ in known],
            means,
            color=color(k),
            linestyle=dash(k),
            marker=marker(k),
            label=short_names(names, _NAME)[k],
            markersize=5,
        )
        ends.append(f"{name} {means[-1]:.1f}")
    axes.set(xlabel="severity (0: unchanged)", ylabel="test accuracy, %", xticks=severities)
    axes.grid(axis="y")
    add_legend(drawing, names, loc="outside lower left")
    caption = (
        "Test accuracy under corruptions of the images, mean over all corruptions and seeds. The "
        "tables have intervals."
    )
    alt = f"Accuracy over severity. At the highest: {', '.join(ends)}."
    return [finish(drawing, "severities", alt, caption)]
