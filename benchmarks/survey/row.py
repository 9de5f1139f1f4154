"""One row of the survey, the table of all rows on disk (CSV), and the table's summary."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

MIXED = "mixed"
REAL, SHAPES = "real", "shapes"


@dataclass(frozen=True)
class Row:
    """Result of the survey for one model.

    Attributes
    ----------
    library, model
        Library of the model, and its name in this library.
    family
        Name of the family; models of one family share their code.
    input
        Shapes of its inputs.
    numbers
        ``"real"`` if it ran on the CPU and its points were tested to be cuts, ``"shapes"`` if it
        ran on the meta device.
    parameters
        Number of parameters.
    blocks, mixed_blocks
        Number of default blocks, and number of blocks after which it can be mixed.
    final
        ``"yes"`` if it can be mixed at its final layer, else ``"no"``.
    verdict
        `MIXED`, or the error of the first point that cannot be mixed.
    """

    library: str
    model: str
    family: str
    input: str
    numbers: str
    parameters: int
    blocks: int
    mixed_blocks: int
    final: str
    verdict: str


_NUMBERS = ("parameters", "blocks", "mixed_blocks")


def read_rows(path: Path) -> list[Row]:
    """Read a table; return the last row of each model, or [] if the file does not exist."""
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        rows = [_row(row) for row in csv.DictReader(file)]
    return list({(row.library, row.model): row for row in rows}.values())


def _row(cells: Mapping[str, Any]) -> Row:
    return Row(**{**cells, **{name: int(cells[name]) for name in _NUMBERS}})


def append(path: Path, row: Row) -> None:
    """Append a row to a table; a new table starts with a header."""
    new = not path.exists()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Row)], lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerow(asdict(row))


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    """Write a table with these rows, and overwrite an existing file."""
    path.unlink(missing_ok=True)
    for row in rows:
        append(path, row)


def summary(rows: Iterable[Row]) -> str:
    """Return a text with the number of models that can be mixed, and the errors of other models."""
    rows, lines = list(rows), list[str]()
    for library in dict.fromkeys(row.library for row in rows):
        own = [row for row in rows if row.library == library]
        real = [row for row in own if row.numbers == REAL]
        lines.append(
            f"{library}: {_share(own)} can be mixed at their final layer and after every block"
        )
        if real:
            whole = sum(
                row.final == "yes" and (row.mixed_blocks > 0 or not row.blocks) for row in real
            )
            lines.append(
                f"  measured with real numbers: {_share(real)} in {_families(real)} families; "
                f"{whole:,} have a final layer and a block that are cuts"
            )
        lines += [
            f"  {row.model} ({row.numbers}): {row.verdict}" for row in own if row.verdict != MIXED
        ]
    return "\n".join(lines)


def _share(rows: Sequence[Row]) -> str:
    whole = sum(row.verdict == MIXED for row in rows)
    return f"{whole:,} of {len(rows):,} models ({whole / len(rows):.1%})"


def _families(rows: Sequence[Row]) -> int:
    return len({row.family for row in rows})
