"""A row of the survey, the table of them on disk (CSV), and what they say together."""

import csv
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

MIXED = "mixed"


@dataclass(frozen=True)
class Row:
    """What the survey found of a model.

    Attributes
    ----------
    library, model
        Where the model is from, and its name there.
    input
        Shapes of what it was called with.
    device
        Where it ran: ``"meta"`` (shapes without numbers) or ``"cpu"``.
    blocks, mixed_blocks
        Number of default blocks, and after how many of them it was mixed.
    final
        Whether it was mixed at its final layer: ``"yes"`` or ``"no"``.
    verdict
        `MIXED`, or the error of the first point that is refused.
    """

    library: str
    model: str
    input: str
    device: str
    blocks: int
    mixed_blocks: int
    final: str
    verdict: str


def read_rows(path: Path) -> list[Row]:
    """Return the rows of a table; none where there is no such file yet."""
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return [
            Row(**{**row, "blocks": int(row["blocks"]), "mixed_blocks": int(row["mixed_blocks"])})
            for row in csv.DictReader(file)
        ]


def append(path: Path, row: Row) -> None:
    """Add a row to a table, which begins with the names of the columns."""
    new = not path.exists()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Row)], lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerow(asdict(row))


def summary(rows: Iterable[Row]) -> str:
    """Return how many models of each library can be mixed, and the errors of those that cannot."""
    rows = list(rows)
    lines = []
    for library in dict.fromkeys(row.library for row in rows):
        own = [row for row in rows if row.library == library]
        whole = [row for row in own if row.verdict == MIXED]
        blocks = sum(row.mixed_blocks for row in own)
        lines.append(
            f"{library}: {len(whole):,} of {len(own):,} models ({len(whole) / len(own):.1%}) are "
            f"mixed at their final layer and after every block, {blocks:,} blocks in all"
        )
        lines += [f"  {row.model}: {row.verdict}" for row in own if row.verdict != MIXED]
    return "\n".join(lines)
