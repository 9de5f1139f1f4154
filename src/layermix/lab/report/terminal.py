"""The answer on a terminal: one table."""

from rich.table import Table

from layermix.lab.report.format import interval, number, p_value, percent
from layermix.lab.summary import Summary, VariantSummary
from layermix.lab.verdict import points


def table(summary: Summary) -> Table:
    """Return a table of all variants: test accuracy, its gain over no mixing, NLL and time."""
    found = Table(title=f"{summary.data}, {summary.net}: test data, mean over seeds")
    found.add_column("variant")
    for name in (
        "seeds",
        "accuracy",
        "95% interval",
        "− none",
        "p",
        "p Holm",
        "NLL",
        "ECE",
        "s/run",
    ):
        found.add_column(name, justify="right")
    for row in summary.variants:
        style = "bold" if row.name == summary.verdict.winner else None
        found.add_row(*_cells(summary, row), style=style)
    return found


def _cells(summary: Summary, row: VariantSummary) -> list[str]:
    accuracy = row.test["accuracy"]
    gains = {gap.variant: gap for gap in summary.differences.get("none", [])}
    gap = gains.get(row.name)
    return [
        row.name,
        str(len(row.seeds)),
        percent(accuracy.mean),
        interval(accuracy, 100, 2),
        points(gap.estimate.mean) if gap else "",
        p_value(gap.p) if gap else "",
        p_value(gap.p_holm) if gap else "",
        number(row.test["nll"].mean, 4),
        number(row.test["ece"].mean, 4),
        number(row.timings["seconds"].mean, 1),
    ]
