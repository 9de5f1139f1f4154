"""Tables of the results on other data: means, and paired differences from the baseline."""

from collections.abc import Callable, Mapping

from layermix.geometry.quantities import POSITIVE, SHARE
from layermix.reporting.formatting import interval, number, percent, percentage_points, signed
from layermix.reporting.other_data import OtherData, Values
from layermix.reporting.statistics import Estimate
from layermix.reporting.summary import Summary
from layermix.reporting.tables.table import ABSENT_CELL, Cell, Column, Table, variant_row

_TITLES = {
    "corrupted": "Accuracy on corrupted test images, mean over five severities, %",
    "ood": "Detection of other classes: higher AUROC and lower FPR95 are better",
    "shifted": "On shifted data, accuracy in %",
}


def other_data_tables(summary: Summary) -> list[Table]:
    """Return two tables for each kind of other data that was evaluated: means and differences."""
    found = summary.other_data
    if found is None:
        return []
    tables = []
    for kind, title in _TITLES.items():
        if columns := getattr(found, kind):
            left_out = f"; {found.missing} finished runs were not evaluated" * bool(found.missing)
            caption = f"{title}, over {summary.unit}{left_out}"
            tables.append(_table(summary, kind, caption, columns, found.mean, _mean_cell))
            if summary.baseline and len(summary.variants) > 1:
                tables.append(_gaps(summary, found, kind, columns))
    return tables


def _gaps(summary: Summary, found: OtherData, kind: str, columns: Mapping[str, Values]) -> Table:
    baseline = summary.baseline or ""
    unit = "" if kind == "ood" else ", accuracy in points"
    table = _table(
        summary,
        f"{kind}-differences",
        f"The same minus {baseline}, paired by seed{unit}; intervals are not corrected",
        columns,
        lambda values, variant: found.gap(values, variant, baseline),
        _gap_cell,
    )
    return table._replace(rows=[row for row in table.rows if row.heading != baseline])


def _table(
    summary: Summary,
    name: str,
    caption: str,
    columns: Mapping[str, Values],
    read: Callable[[Values, str], Estimate | None],
    cell: Callable[[Estimate, str], Cell],
) -> Table:
    rows = []
    for row in summary.variants:
        estimates = {title: read(values, row.name) for title, values in columns.items()}
        cells = [cell(e, title) if e else ABSENT_CELL for title, e in estimates.items()]
        rows.append(variant_row(row.name, cells))
    return Table(name, caption, [Column("variant"), *map(Column, columns)], rows)


def _mean_cell(found: Estimate, title: str) -> Cell:
    show = percent if _is_accuracy(title) else lambda value: number(value, 4)
    bounds = POSITIVE if title.endswith("NLL") else SHARE
    return Cell(show(found.mean), interval(found, show, bounds))


def _gap_cell(found: Estimate, title: str) -> Cell:
    show = percentage_points if _is_accuracy(title) else lambda value: signed(value, 4)
    return Cell(show(found.mean), interval(found, show))


def _is_accuracy(title: str) -> bool:
    """Return True for the accuracy on shifted data, or under a corruption."""
    return "," not in title or title.endswith(", accuracy")
