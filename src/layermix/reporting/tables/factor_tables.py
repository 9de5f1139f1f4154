"""Tables over a factor: a verdict for each level."""

from collections.abc import Sequence

from layermix.reporting.formatting import ABSENT, p_relation
from layermix.reporting.level_summary import LevelSummary
from layermix.reporting.tables.table import (
    Cell,
    Column,
    Row,
    Table,
    difference_cell,
    metric_cell,
    variant_row,
)


def claims_table(levels: Sequence[LevelSummary]) -> Table:
    """Return *final beats input* at each level, as trained and with clean norm statistics."""
    columns = [Column("level"), Column("seeds"), Column("final − input, points")]
    columns += [Column("verdict", "p is not corrected"), Column("clean norms, points")]
    columns += [Column("verdict")]
    rows = []
    for each in levels:
        claim, cells = each.summary.verdict.claim, list[Cell]()
        for gap in (claim.gap, claim.clean.get("accuracy")):
            cells.append(difference_cell(gap and gap.estimate, "accuracy"))
            cells.append(Cell(gap.outcome, f"p {p_relation(gap.p)}") if gap else Cell(ABSENT))
        seeds = Cell(str(claim.gap.estimate.n) if claim.gap else ABSENT)
        rows.append(Row(_title(each), "", "", [seeds, *cells]))
    return Table("claims", "Final minus input at each level", columns, rows)


def levels_table(levels: Sequence[LevelSummary]) -> Table:
    """Return the test accuracy of each variant at each level, with the verdict on it."""
    columns = [Column("variant"), *(Column(_title(each)) for each in levels)]
    names = list(dict.fromkeys(name for each in levels for name in each.summary.planned))
    rows = []
    for name in names:
        cells = []
        for each in levels:
            row, gap = each.summary.variant(name), each.summary.difference(name, "accuracy")
            cell = metric_cell(row.test["accuracy"] if row else None, "accuracy")
            if gap:
                points = difference_cell(gap.estimate, "accuracy").text
                compared = f"{points} over {gap.baseline}, {gap.outcome}"
                cell = cell._replace(text=f"{cell.text} ({compared})")
            cells.append(cell)
        rows.append(variant_row(name, cells))
    caption = "Test accuracy, %, and in brackets the points over the baseline with their verdict"
    return Table("levels", caption, columns, rows)


def _title(level: LevelSummary) -> str:
    return level.name.replace(",", ", ")
