"""Tables from stored predictions: accuracy of each class, and disagreement of variants."""

from layermix.reporting.formatting import ABSENT, number, p_value, percent
from layermix.reporting.stored_predictions import ClassGap
from layermix.reporting.summary import Summary
from layermix.reporting.tables.table import (
    Cell,
    Column,
    Row,
    Table,
    difference_cell,
    metric_cell,
    variant_row,
)

_ENDS = 8  # classes that are shown at each end, if there are more than twice as many


def classes_table(summary: Summary) -> Table | None:
    """Return the classes that mixing helps most and hurts most; None without stored logits."""
    found = summary.predictions
    if found is None or not found.classes:
        return None
    ranked = sorted(found.classes, key=lambda gap: -gap.gap.mean)
    shown = ranked if len(ranked) <= 2 * _ENDS else ranked[:_ENDS] + ranked[-_ENDS:]
    columns = [
        Column("class"),
        Column("examples", "mean number of test examples"),
        Column(f"{found.baseline}, %"),
        Column(f"{found.variant} −, points", f"{found.variant} minus {found.baseline}"),
        Column("p, Holm", f"sign-flip test, corrected for all {len(ranked)} classes"),
    ]
    caption = f"Accuracy of each class, {found.variant} minus {found.baseline}, over {summary.unit}"
    if len(shown) < len(ranked):
        caption += f": the first and last {_ENDS} of {len(ranked)} classes"
    return Table("classes", caption, columns, [_class_row(gap) for gap in shown])


def _class_row(gap: ClassGap) -> Row:
    cells = [
        Cell(number(gap.examples, 0)),
        metric_cell(gap.baseline, "accuracy"),
        difference_cell(gap.gap, "accuracy"),
        Cell(p_value(gap.p_holm)),
    ]
    return Row(gap.label, "", "", cells)


def disagreement_table(summary: Summary) -> Table | None:
    """Return how often two variants predict different classes; None without stored logits."""
    found = summary.predictions
    if found is None:
        return None
    names = list(found.disagreement)
    rows = [
        variant_row(
            name, [Cell(percent(shares[other]) if other in shares else ABSENT) for other in names]
        )
        for name, shares in found.disagreement.items()
    ]
    caption = "Test examples with different predictions of two variants of the same seed, %"
    return Table("disagreement", caption, [Column("variant"), *map(Column, names)], rows)
