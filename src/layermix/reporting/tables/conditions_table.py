"""The table of runs with different versions or hardware."""

from layermix.reporting.formatting import percent
from layermix.reporting.statistics import BySeed, estimate
from layermix.reporting.summary import Summary
from layermix.reporting.tables.table import ABSENT_CELL, Cell, Column, Row, Table, metric_cell


def conditions_table(summary: Summary) -> Table | None:
    """Return the test accuracy of each group of runs with equal conditions; None if all are."""
    if len(summary.groups) < 2:
        return None
    names = [row.name for row in summary.variants]
    columns = [Column("versions or hardware"), Column("runs"), *map(Column, names)]
    rows = [
        Row(
            ", ".join(f"{name} {value}" for name, value in group.conditions.items()),
            "",
            "",
            [Cell(str(group.count)), *(_cell(group.accuracy.get(name)) for name in names)],
        )
        for group in summary.groups
    ]
    caption = "Test accuracy of the runs with equal versions and hardware, %, and their number"
    return Table("conditions", caption, columns, rows)


def _cell(by_seed: BySeed | None) -> Cell:
    if not by_seed:
        return ABSENT_CELL
    found = estimate(list(by_seed.values()))
    return metric_cell(found, "accuracy")._replace(text=f"{percent(found.mean)}, n = {found.n}")
