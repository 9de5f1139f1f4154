"""The answer on a terminal: a table of a study, and one over several studies."""

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from layermix.geometry.quantities import SHARE
from layermix.reporting.formatting import (
    ABSENT,
    decimals,
    in_percent,
    interval,
    number,
    p_value,
    percent,
    percentage_points,
)
from layermix.reporting.layers import across_rows
from layermix.reporting.statistics.studies import Across
from layermix.reporting.summary import Summary
from layermix.reporting.variant import VariantSummary

_COLUMNS = ("seeds", "accuracy", "95% interval", "− none", "p", "p Holm", "NLL", "ECE", "s/run")


def table(summary: Summary) -> Table:
    """Return a table of all variants: test accuracy, its gain over no mixing, NLL and time."""
    title = f"{summary.data}, {summary.model}: test data, mean over seeds"
    found = Table(title=Text(title, style="table.title"))
    found.add_column("variant", overflow="fold")
    for name in _COLUMNS:
        found.add_column(name, justify="right")
    for name, seeds, row in summary.rows():
        style = "bold" if name == summary.verdict.winner else None
        cells = _cells(summary, row) if row else [ABSENT] * (len(_COLUMNS) - 1)
        found.add_row(Text(name), seeds, *cells, style=style)
    return found


def studies_table(found: Sequence[Across]) -> Table:
    """Return a table of rho: rows are quantities, columns the studies and their mean."""
    table = Table(title="Rank correlation of geometry and gain from mixing, over layers")
    table.add_column("quantity")
    table.add_column("sign", justify="right")
    for name in [*found[0].studies, "mean over studies"]:
        table.add_column(Text(name), justify="right")
    for across, row in zip(found, across_rows(found), strict=True):
        if across.quantity == "depth":
            table.add_section()
        cells = [cell if isinstance(cell, str) else "\n".join(cell) for cell in row]
        table.add_row(*map(Text, cells), style="bold" if across.quantity == "depth" else None)
    return table


def _cells(summary: Summary, row: VariantSummary) -> list[str]:
    accuracy, seconds = row.test["accuracy"], row.timings["seconds"].mean
    gains = {gap.variant: gap for gap in summary.differences.get("none", [])}
    gap = gains.get(row.name)
    return [
        percent(accuracy.mean),
        interval(accuracy, in_percent, SHARE),
        percentage_points(gap.estimate.mean) if gap else "",
        p_value(gap.p) if gap else "",
        p_value(gap.p_holm) if gap else "",
        number(row.test["nll"].mean, 4),
        number(row.test["ece"].mean, 4),
        number(seconds, decimals(seconds)),
    ]
