"""A table: its caption, columns, rows and cells, all as text."""

from collections.abc import Sequence
from typing import NamedTuple

from layermix.reporting.formatting import (
    ABSENT,
    METRICS,
    interval,
    metric_difference,
    metric_text,
    variant_meaning,
)
from layermix.reporting.statistics import Estimate


class Cell(NamedTuple):
    """A value and its interval as text; the interval is a dash if there is none."""

    text: str
    interval: str = ABSENT


ABSENT_CELL = Cell(ABSENT)


class Column(NamedTuple):
    """The heading of a column and its meaning."""

    heading: str
    meaning: str = ""


class Row(NamedTuple):
    """A row: its heading and meaning, a mark (``"best"`` or ``"baseline"``), and its cells."""

    heading: str
    meaning: str
    mark: str
    cells: list[Cell]


class Table(NamedTuple):
    """A table; the first column contains the headings of the rows."""

    name: str
    caption: str
    columns: list[Column]
    rows: list[Row]


def variant_row(name: str, cells: Sequence[Cell], mark: str = "") -> Row:
    """Return the row of a variant."""
    return Row(name, variant_meaning(name), mark, list(cells))


def metric_columns(names: Sequence[str], unit: str = "%") -> list[Column]:
    """Return a column for each metric, with the unit of accuracy."""
    return [
        Column(f"{METRICS[n].heading}{f', {unit}' * (n == 'accuracy')}", METRICS[n].meaning)
        for n in names
    ]


def metric_cell(found: Estimate | None, metric: str) -> Cell:
    """Return the mean of a metric and its interval; a dash for None."""
    if found is None:
        return Cell(ABSENT)
    bounds = METRICS[metric].bounds
    return Cell(
        metric_text(found.mean, metric), interval(found, lambda v: metric_text(v, metric), bounds)
    )


def difference_cell(found: Estimate | None, metric: str) -> Cell:
    """Return the mean difference of a metric and its interval; a dash for None."""
    if found is None:
        return Cell(ABSENT)
    return Cell(
        metric_difference(found.mean, metric),
        interval(found, lambda v: metric_difference(v, metric)),
    )
