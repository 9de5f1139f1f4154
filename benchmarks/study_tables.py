"""Print the tables of studies in the docs, as Markdown.

    benchmarks/studies.sh CIFAR_FOLDER runs
    python -m benchmarks.study_tables runs/digits runs/cifar

The table of a study has accuracies, differences from no mixing and from mixing at the input, and
calibration errors. Another table has the rank correlation of each layer quantity with the gains.
"""

import sys
from collections.abc import Callable
from pathlib import Path

from layermix.experiments import Study
from layermix.reporting import Summary, summarize
from layermix.reporting.formatting import (
    correlation,
    heading,
    interval,
    number,
    p_value,
    percent,
    percentage_points,
)
from layermix.reporting.statistics import Difference, Estimate
from layermix.reporting.text import verdict_text


def with_interval(found: Estimate, show: Callable[[float], str], unit: str = "") -> str:
    """Return a mean with its interval as text."""
    return f"{show(found.mean)}{unit} ({interval(found, show)})"


def as_table(rows: list[list[str]]) -> str:
    """Return rows as a Markdown table; the first row is the header."""
    lines = [rows[0], ["---"] * len(rows[0]), *rows[1:]]
    return "\n".join(f"| {' | '.join(row)} |" for row in lines)


def accuracy_table(summary: Summary) -> str:
    """Return a table of accuracy, differences and calibration error of each variant."""
    header = ["variant", "accuracy"]
    for baseline in summary.differences:
        header += [f"against {baseline}", "p (Holm)"]
    rows = [[*header, "calibration error"]]
    for row in summary.variants:
        cells = [row.name, with_interval(row.test["accuracy"], percent, "%")]
        for gaps in summary.differences.values():
            cells += _difference(next((gap for gap in gaps if gap.variant == row.name), None))
        error = with_interval(row.test["ece"], lambda value: number(value, 3))
        rows.append([*cells, error])
    return as_table(rows)


def _difference(gap: Difference | None) -> list[str]:
    if gap is None:
        return ["", ""]
    p = f"{p_value(gap.p)} ({p_value(gap.p_holm)})"
    return [with_interval(gap.estimate, percentage_points), p]


def prediction_table(studies: dict[str, Summary]) -> str:
    """Return a table of the rank correlations of each quantity with the gains, by study."""
    rows = [["quantity", "sign", *(cell for name in studies for cell in (name, "p"))]]
    for ranks in zip(*(summary.prediction.rows for summary in studies.values()), strict=True):
        cells = [heading(ranks[0].quantity), {1: "+", -1: "−", 0: "±"}[ranks[0].expected]]
        for rank in ranks:
            rho = with_interval(rank.estimate, correlation) if rank.estimate else ""
            cells += [rho, p_value(rank.p)]
        rows.append(cells)
    return as_table(rows)


def main(folders: list[str]) -> None:
    """Print all tables of some studies."""
    studies = {name: summarize(Study.open(Path(name))) for name in folders}
    for name, summary in studies.items():
        sys.stdout.write(f"## {name}\n\n{summary.command}\n\n{accuracy_table(summary)}\n\n")
        sys.stdout.write(" ".join(verdict_text(summary)) + "\n\n")
    ranked = {name: summary for name, summary in studies.items() if summary.prediction.ranks}
    if ranked:
        sys.stdout.write(prediction_table(ranked) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
