"""Tables of the results on other data: means, and paired differences from the baseline."""

from collections.abc import Callable, Mapping

from layermix.reporting.formatting import interval, number, percent, percentage_points, signed
from layermix.reporting.other_data import OtherData, Values
from layermix.reporting.statistics import Estimate
from layermix.reporting.summary import Summary
from layermix.reporting.tables.table import ABSENT_CELL, Cell, Column, Table, variant_row

_TITLES = {
    "corrupted": ("Accuracy on corrupted test images, mean over five severities, %", percent),
    "ood": ("Detection of other classes: higher AUROC and lower FPR95 are better", None),
    "shifted": ("On shifted data", None),
}


def other_data_tables(summary: Summary) -> list[Table]:
    """Return two tables for each kind of other data that was evaluated: means and differences."""
    found = summary.other_data
    if found is None:
        return []
    tables = []
    for kind, (title, show) in _TITLES.items():
        if columns := getattr(found, kind):
            caption = f"{title}, over {summary.unit}"
            tables.append(_table(summary, kind, caption, columns, found.mean, show or _number))
            if summary.baseline and len(summary.variants) > 1:
                tables.append(_gaps(summary, found, kind, columns, points=show is percent))
    return tables


def _gaps(
    summary: Summary, found: OtherData, kind: str, columns: Mapping[str, Values], *, points: bool
) -> Table:
    baseline = summary.baseline or ""
    unit = ", points" if points else ""
    table = _table(
        summary,
        f"{kind}-differences",
        f"The same minus {baseline}, paired by seed{unit}; intervals are not corrected",
        columns,
        lambda values, variant: found.gap(values, variant, baseline),
        percentage_points if points else lambda value: signed(value, 4),
    )
    return table._replace(rows=[row for row in table.rows if row.heading != baseline])


def _table(
    summary: Summary,
    name: str,
    caption: str,
    columns: Mapping[str, Values],
    read: Callable[[Values, str], Estimate | None],
    show: Callable[[float], str],
) -> Table:
    rows = [
        variant_row(row.name, [_cell(read(values, row.name), show) for values in columns.values()])
        for row in summary.variants
    ]
    return Table(name, caption, [Column("variant"), *map(Column, columns)], rows)


def _cell(found: Estimate | None, show: Callable[[float], str]) -> Cell:
    return ABSENT_CELL if found is None else Cell(show(found.mean), interval(found, show))


def _number(value: float) -> str:
    return number(value, 4)
