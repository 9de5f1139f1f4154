"""Checks of the results of a study, used by the notes in a report."""

import math
from collections.abc import Sequence

from layermix.geometry.quantities import GAP_QUANTITIES, QUANTITIES
from layermix.reporting.condition_groups import BETWEEN_RUNS, unequal_pairs
from layermix.reporting.formatting import MAIN_METRICS, METRICS, heading
from layermix.reporting.statistics import BySeed, estimate
from layermix.reporting.summary import Summary
from layermix.reporting.variant import VariantSummary

Geometry = dict[str, dict[str, BySeed]]
"""Values by quantity, layer and seed."""


def clipped_metrics(summary: Summary) -> dict[str, list[str]]:
    """For each metric, return the variants whose interval extends beyond the metric's range."""
    found = {
        METRICS[key].heading: [
            row.name
            for row in summary.variants
            if key in row.test and row.test[key].exceeds(METRICS[key].bounds)
        ]
        for key in MAIN_METRICS
    }
    return {name: variants for name, variants in found.items() if variants}


def clipped_quantities(geometry: Geometry) -> dict[str, list[str]]:
    """For each quantity, return the layers whose interval extends beyond the quantity's range."""
    found = {
        heading(q): [
            layer
            for layer, by_seed in layers.items()
            if estimate(list(by_seed.values())).exceeds(QUANTITIES[q].bounds)
        ]
        for q, layers in geometry.items()
    }
    return {name: layers for name, layers in found.items() if layers}


def missing_seeds(geometry: Geometry) -> dict[str, list[str]]:
    """For each quantity, return the layers that have no finite value for some of the seeds."""
    seeds = max(len(by_seed) for layers in geometry.values() for by_seed in layers.values())
    found = {
        heading(q): [
            f"{layer}: {len(by_seed)} of {seeds} seeds"
            for layer, by_seed in layers.items()
            if len(by_seed) < seeds
        ]
        for q, layers in geometry.items()
    }
    return {name: layers for name, layers in found.items() if layers}


def undefined_quantities(geometry: Geometry) -> list[str]:
    """Return the headings of the quantities without a finite value at any layer."""
    return [heading(q) for q in QUANTITIES if q not in geometry]


def same_results(summary: Summary) -> list[list[str]]:
    """Return groups of variants whose test metrics are equal for every seed."""
    groups: list[list[VariantSummary]] = []
    for row in summary.variants:
        equal = (group for group in groups if _metrics(group[0]) == _metrics(row))
        if (group := next(equal, None)) is None:
            groups.append(group := [])
        group.append(row)
    return [[row.name for row in group] for group in groups if len(group) > 1]


def _metrics(row: VariantSummary) -> list[Sequence[float]]:
    return [row.seeds, *(row.test[name].values for name in MAIN_METRICS if name in row.test)]


def varied_conditions(summary: Summary) -> list[str]:
    """Return the names of the conditions that differ between runs."""
    return [name for name, value in summary.conditions.items() if BETWEEN_RUNS in value]


def unequal_conditions(summary: Summary) -> int:
    """Return the number of runs whose baseline of the same seed has other conditions."""
    return unequal_pairs(summary.groups, summary.baseline)


def worse_than_guessing(summary: Summary) -> list[str]:
    """Return the runs whose test NLL is NaN or above that of uniform predictions."""
    return [
        f"{row.name}-seed{seed}"
        for row in summary.variants
        for seed, nll in row.values("nll").items()
        if not nll <= math.log(summary.sizes["classes"])
    ]


def near_chance(summary: Summary) -> list[str]:
    """Return the variants whose mean test accuracy is not above that of the most frequent class."""
    found = summary.predictions
    share = found.majority if found else 1 / summary.sizes["classes"]
    return [row.name for row in summary.variants if row.test["accuracy"].mean <= share]


def unplanned_stages(summary: Summary) -> list[int]:
    """Return the numbers of seeds of earlier stages at which the results could be read.

    Planned looks are not included, and neither are stages to which only variants were added.
    """
    looks = summary.config["asked"]["looks"]
    stages = {len(stage["seeds"]) for stage in summary.grown}
    later = summary.sizes["seeds"] > max(looks, default=math.inf)  # than all planned looks
    return sorted(n for n in stages if n < summary.sizes["seeds"] and (later or n not in looks))


def constant_at_input(geometry: Geometry) -> bool:
    """Return True if all seeds have equal quantities at the input, except the interpolation gap."""
    found = [
        list(layers.get("input", {}).values())
        for quantity, layers in geometry.items()
        if quantity not in GAP_QUANTITIES
    ]
    return bool(found) and all(
        len(values) > 1 and all(math.isclose(v, values[0], rel_tol=1e-9) for v in values)
        for values in found
    )


def layers_without_gap(geometry: Geometry) -> list[str]:
    """Return the layers whose interpolation gap is zero at every seed."""
    gaps = {layer: by_seed.values() for layer, by_seed in geometry.get("gap", {}).items()}
    return [layer for layer, values in gaps.items() if values and not any(values)]
