"""Accuracy of each variant over the severity of corruptions."""

from layermix.reporting.figures.factor_curves import plot_estimates
from layermix.reporting.figures.style import Figure, add_legend, canvas, finish, short_names, style
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
    names, ends = [row.name for row in summary.variants], list[str]()
    for k, name in enumerate(names):
        values = [found.mean(each, name) for each in found.severities.values()]
        plot_estimates(axes, severities, values, k, short_names(names, _NAME)[k])
        if values[-1]:
            ends.append(f"{name} {100 * values[-1].mean:.1f}")
    axes.set(xlabel="severity (0: unchanged)", ylabel="test accuracy, %", xticks=severities)
    axes.grid(axis="y")
    add_legend(drawing, names, loc="outside lower left")
    caption = (
        "Test accuracy under corruptions of the images, mean over all corruptions: mean and 95% "
        f"interval over {summary.unit}."
    )
    alt = f"Accuracy over severity. At the highest: {', '.join(ends)}."
    return [finish(drawing, "severities", alt, caption)]
