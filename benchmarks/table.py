"""The result of a benchmark: a table with notes and the conditions of the measurement."""

import csv
import io
import math
from dataclasses import asdict, dataclass, field
from typing import Any

from rich.table import Table as RichTable
from rich.text import Text

Row = dict[str, str | float]


@dataclass(frozen=True)
class Table:
    """A table of times or memory, with notes and conditions; every benchmark returns one.

    Attributes
    ----------
    title
        Title of the table.
    rows
        One dict for each row, all with the same keys; times in seconds, memory in MB (10^6 bytes).
    notes
        Explanations of rows and columns.
    conditions
        Command, hardware and versions.
    """

    title: str
    rows: list[Row]
    notes: list[str]
    conditions: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the result as a dict for JSON."""
        return asdict(self)

    def to_csv(self) -> str:
        """Return the rows as CSV, with a header."""
        text = io.StringIO()
        writer = csv.DictWriter(text, list(self.rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        return text.getvalue()

    def to_rich(self) -> RichTable:
        """Return the table of the rows for a terminal."""
        found = RichTable(title=Text(self.title, style="table.title"))
        for name in self.rows[0]:
            justify = "left" if name == "what" else "right"
            found.add_column(name, justify=justify, overflow="fold")
        for row in self.rows:
            found.add_row(*(Text(_cell(value)) for value in row.values()))
        return found


def _cell(value: str | float) -> str:
    """Format a cell for a terminal: numbers with four digits, NaN as an empty text."""
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.4g}"
    return str(value)
