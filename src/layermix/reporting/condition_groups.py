"""Groups of runs with equal versions and hardware, which a report shows apart."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from layermix.lab.store import RunConfig, RunResult
from layermix.reporting.statistics import BySeed

BETWEEN_RUNS = " / "  # between the values of a condition that differs from run to run
_MISSING = "unknown"


@dataclass(frozen=True)
class ConditionGroup:
    """Runs whose versions and hardware are equal.

    `conditions` has those that differ from other runs of the study, and `accuracy` the test
    accuracy of the group's runs by variant and seed.
    """

    conditions: dict[str, str]
    accuracy: dict[str, BySeed]

    @property
    def count(self) -> int:
        """The number of runs."""
        return sum(map(len, self.accuracy.values()))


def joined_conditions(results: Sequence[RunResult]) -> dict[str, str]:
    """Return versions and hardware by name; values that differ are joined by `BETWEEN_RUNS`."""
    names = dict.fromkeys(name for result in results for name in result.conditions)
    return {
        name: BETWEEN_RUNS.join(dict.fromkeys(r.conditions.get(name, _MISSING) for r in results))
        for name in names
    }


def condition_groups(results: Mapping[RunConfig, RunResult]) -> list[ConditionGroup]:
    """Return the groups of runs with equal conditions; a single one if all are equal."""
    joined = joined_conditions(list(results.values()))
    varied = [name for name, value in joined.items() if BETWEEN_RUNS in value]
    groups: dict[tuple[str, ...], ConditionGroup] = {}
    for cell, result in results.items():
        values = tuple(result.conditions.get(name, _MISSING) for name in varied)
        fresh = ConditionGroup(dict(zip(varied, values, strict=True)), {})
        group = groups.setdefault(values, fresh)
        group.accuracy.setdefault(cell.variant, {})[cell.seed] = result.test["accuracy"]
    return list(groups.values())


def unequal_pairs(groups: Sequence[ConditionGroup], baseline: str | None) -> int:
    """Return the number of runs whose baseline of the same seed has other conditions."""
    bases = {seed: group for group in groups for seed in group.accuracy.get(baseline or "", {})}
    return sum(
        bases.get(seed, group) is not group
        for group in groups
        for by_seed in group.accuracy.values()
        for seed in by_seed
    )
