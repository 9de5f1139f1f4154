"""Plan a study: warnings before it is trained, and the seeds that it needs, from a pilot."""

import itertools

from rich.console import Console

from layermix.errors import InputError
from layermix.lab.display import print_text
from layermix.lab.study import StudyFolder
from layermix.lab.study_config import MIN_SEEDS, StudyConfig
from layermix.reporting.formatting import ABSENT, number, plural
from layermix.reporting.show import terminal_table
from layermix.reporting.statistics import (
    LEVEL,
    Difference,
    least_p,
    look_at,
    seeds_needed,
)
from layermix.reporting.statistics.comparisons import deviation
from layermix.reporting.study_summary import summarize
from layermix.reporting.summary import Summary
from layermix.reporting.tables.table import Cell, Column, Table, variant_row

_GOALS = (0.8, 0.9)
_MIN_PILOT = 3


def show_plan(study: StudyFolder, points: float, console: Console) -> None:
    """Print how many seeds each comparison needs to show a difference of accuracy, in points."""
    if points <= 0:
        raise InputError(f"plan is {points}, but must be a difference of points above 0")
    console.print(terminal_table(plan_table(summarize(study), points)))
    print_text(
        console,
        "The spread is the standard deviation of the paired differences in the pilot. The numbers "
        "are those of a paired t-test; the pilot's spread is uncertain, and so are they.",
        fold=True,
    )


def plan_table(summary: Summary, points: float) -> Table:
    """Return the seeds that each comparison of a pilot needs, for a power of 0.8 and 0.9."""
    family = [gap for gap in summary.family if gap.metric == "accuracy"]
    level = LEVEL / max(1, len(summary.family))
    rows = [_row(f"{d.variant} − {d.baseline}", d, points, level) for d in family]
    if claim := summary.verdict.claim.gap:
        rows.append(_row(f"{claim.variant} − {claim.baseline}, the claim", claim, points, LEVEL))
    if (
        not rows
        or max(gap.estimate.n for gap in [*family, *([claim] if claim else [])]) < _MIN_PILOT
    ):
        raise InputError(
            f"the pilot has too few finished runs: a spread needs {_MIN_PILOT} seeds of two "
            "variants, such as none and final"
        )
    columns = ["comparison", "pilot", "spread, points"]
    columns += [f"seeds, power {goal:.0%}" for goal in _GOALS]
    caption = (
        f"{summary.data}, {summary.model}: seeds to show a difference of {points:g} points, with "
        f"the correction for {plural(len(summary.family), 'comparison')}"
    )
    return Table("plan", caption, list(map(Column, columns)), rows)


def _row(name: str, gap: Difference, points: float, level: float):
    spread = 100 * deviation(gap.estimate.values)
    pilot = Cell(plural(gap.estimate.n, "seed"))
    if gap.estimate.n < 2:
        return variant_row(name, [pilot, *[Cell(ABSENT)] * 3])
    counts = [seeds_needed(points, spread, level, goal=goal) for goal in _GOALS]
    needed = ["over 100,000" if n is None else f"{max(n, MIN_SEEDS):,}" for n in counts]
    return variant_row(name, [pilot, Cell(number(spread, 2)), *map(Cell, needed)])


def plan_warnings(config: StudyConfig) -> list[str]:
    """Return the warnings about a study that are known before it is trained."""
    found, family = [], max(1, 3 * (len(config.variants) - 1))
    seeds = max((len(config.seeds), *config.looks))
    needed = next(n for n in itertools.count(MIN_SEEDS) if family * least_p(n) < LEVEL)
    if seeds < MIN_SEEDS:
        found.append(
            f"{seeds} seeds are too few to tell: no comparison has a verdict below {MIN_SEEDS} "
            "seeds"
        )
    elif seeds < needed:
        found.append(
            f"{seeds} seeds are too few to show that one of {len(config.variants)} variants is "
            f"better or worse after correction for all comparisons: use {needed} or more"
        )
    for count in config.looks:
        if least_p(count) >= look_at(count, config.looks).level:
            found.append(
                f"the look at {count} seeds can only show that variants are practically equal: "
                "its level is below the least p-value of the sign-flip test"
            )
    if "none" not in config.variants:
        found.append("without the variant none, the study does not show if mixing helps at all")
    return found
