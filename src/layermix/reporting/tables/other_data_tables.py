"""Tables of the results on other data: means, and paired differences from the baseline."""

from collections.abc import Callable, Mapping

from layermix.reporting.formatting import interval, number, percent, percentage_points
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
            tables.append(_means(summary, found, kind, title, columns, show or _number))
            if summary.baseline and len(summary.variants) > 1:
                show_gap = percentage_points if show else _signed_number
                tables.append(_gaps(summary, found, kind, columns, show_gap))
    return tables


def _means(
    summary: Summary,
    found: OtherData,
    kind: str,
    title: str,
    columns: Mapping[str, Values],
    show: Callable[[float], str],
) -> Table:
    rows = [
        variant_row(
            row.name, [_cell(found.mean(values, row.name), show) for values in columns.values()]
        )
        for row in summary.variants
    ]
    headings = [Column("variant"), *map(Column, columns)]
    return Table(kind, f"{title}, over {summary.unit}", headings, rows)


def _gaps(
    summary: Summary,
    found: OtherData,
    kind: str,
    columns: Mapping[str, Values],
    show: Callable[[float], str],
) -> Table:
    baseline = summary.baseline or ""
    rows = [
        variant_row(
            row.name,
            [_cell(found.gap(values, row.name, baseline), show) for values in columns.values()],
        )
        for row in summary.variants
        if row.name != baseline
    ]
    points = ", points" if show is percentage_points else ""
    caption = f"The same minus {baseline}, paired by seed{points}; intervals are not corrected"
    return Table(f"{kind}-differences", caption, [Column("variant"), *map(Column, columns)], rows)


def _cell(found: Estimate | None, show: Callable[[float], str]) -> Cell:
    return ABSENT_CELL if found is None else Cell(show(found.mean), interval(found, show))


def _number(value: float) -> str:
    return number(value, 4)


def _signed_number(value: float) -> str:
    return f"{value:+z.4f}".replace("-", "−")
