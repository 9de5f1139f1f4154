"""The answer on a terminal: one table."""

from rich.table import Table

from layermix.lab.answer.summary import Summary, VariantSummary
from layermix.lab.answer.words import (
    ABSENT,
    decimals,
    in_percent,
    interval,
    number,
    p_value,
    percent,
    percentage_points,
)

_COLUMNS = ("seeds", "accuracy", "95% interval", "− none", "p", "p Holm", "NLL", "ECE", "s/run")


def table(summary: Summary) -> Table:
    """Return a table of all variants: test accuracy, its gain over no mixing, NLL and time."""
    found = Table(title=f"{summary.data}, {summary.net}: test data, mean over seeds")
    found.add_column("variant")
    for name in _COLUMNS:
        found.add_column(name, justify="right")
    for name, seeds, row in summary.rows():
        style = "bold" if name == summary.verdict.winner else None
        cells = _cells(summary, row) if row else [ABSENT] * (len(_COLUMNS) - 1)
        found.add_row(name, seeds, *cells, style=style)
    return found


def _cells(summary: Summary, row: VariantSummary) -> list[str]:
    accuracy, seconds = row.test["accuracy"], row.timings["seconds"].mean
    gains = {gap.variant: gap for gap in summary.differences.get("none", [])}
    gap = gains.get(row.name)
    return [
        percent(accuracy.mean),
        interval(accuracy, in_percent),
        percentage_points(gap.estimate.mean) if gap else "",
        p_value(gap.p) if gap else "",
        p_value(gap.p_holm) if gap else "",
        number(row.test["nll"].mean, 4),
        number(row.test["ece"].mean, 4),
        number(seconds, decimals(seconds)),
    ]
