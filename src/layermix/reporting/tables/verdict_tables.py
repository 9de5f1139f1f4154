"""Tables of paired comparisons: verdicts, and what the statistics of batch norms explain."""

from layermix.reporting.formatting import ABSENT, METRICS, metric_difference, p_relation
from layermix.reporting.statistics import Difference
from layermix.reporting.summary import Summary
from layermix.reporting.tables.table import (
    Cell,
    Column,
    Row,
    Table,
    difference_cell,
    metric_cell,
    metric_columns,
    variant_row,
)


def differences_table(summary: Summary) -> Table | None:
    """Return the paired differences from the baseline with their verdicts; None without them."""
    if not summary.family:
        return None
    columns = [Column("variant"), Column("seeds")]
    for column in metric_columns(list(summary.scales), "points"):
        columns += [column, Column("verdict", "p is corrected for all rows and metrics")]
    columns += [Column("detectable", "difference in accuracy that is shown with probability 0.8")]
    rows = []
    for name in summary.planned:
        if name == summary.baseline:
            continue
        found = [summary.difference(name, metric) for metric in summary.scales]
        cells = [cell for gap in found for cell in _compared(gap)]
        count, least = Cell(ABSENT), Cell(ABSENT)
        if (gap := found[0]) is not None:
            count, least = Cell(str(gap.estimate.n)), Cell(_detectable(gap))
        rows.append(variant_row(name, [count, *cells, least]))
    caption = f"Against {summary.baseline}, over {summary.unit}"
    return Table("differences", caption, columns, rows)


def norms_table(summary: Summary) -> Table | None:
    """Return accuracy and NLL as trained and with clean norm statistics; None without them."""
    if not any(row.clean for row in summary.variants):
        return None
    columns = [
        Column("variant"),
        Column("as trained, %"),
        Column("clean, %"),
        Column("change, points", "clean minus as trained, paired"),
        *[Column(f"{each} − {summary.baseline}") for each in ("as trained", "clean")],
        Column("NLL as trained"),
        Column("NLL clean"),
    ]
    rows = []
    for row in summary.variants:
        gaps = [summary.gap(row.name, "accuracy", clean=clean) for clean in (False, True)]
        cells = [
            metric_cell(row.test["accuracy"], "accuracy"),
            metric_cell(row.clean.get("accuracy"), "accuracy"),
            difference_cell(summary.change(row.name, "accuracy"), "accuracy"),
            *(difference_cell(gap, "accuracy") for gap in gaps),
            metric_cell(row.test["nll"], "nll"),
            metric_cell(row.clean.get("nll"), "nll"),
        ]
        if row.name == summary.baseline:
            cells[3:5] = [Cell(ABSENT), Cell(ABSENT)]
        rows.append(variant_row(row.name, cells))
    caption = f"As trained and with clean norm statistics, over {summary.unit}"
    return Table("norms", caption, columns, rows)


def claim_table(summary: Summary) -> Table | None:
    """Return final minus input as trained, with clean norms, and their difference."""
    claim = summary.verdict.claim
    if not claim.clean or claim.gap is None:
        return None
    metrics = [metric for metric in claim.gaps if metric in claim.explained]
    columns = [Column("norm statistics")]
    for column in metric_columns(metrics, "points"):
        columns += [column, Column("verdict")]
    rows = [
        Row(title, "", "", [cell for m in metrics for cell in _compared(gaps[m], single=True)])
        for title, gaps in (("as trained", claim.gaps), ("clean", claim.clean))
    ]
    explained = [
        cell for m in metrics for cell in (difference_cell(claim.explained[m], m), Cell(ABSENT))
    ]
    meaning = "as trained minus clean: what the statistics of the norms explain"
    rows.append(Row("explained", meaning, "", explained))
    pair = f"{claim.gap.variant} minus {claim.gap.baseline}"
    caption = f"{pair}, over {summary.unit}; p is not corrected"
    return Table("claim", caption, columns, rows)


def _compared(gap: Difference | None, *, single: bool = False) -> list[Cell]:
    if gap is None:
        return [Cell(ABSENT)] * 2
    p = f"p {p_relation(gap.p if single else gap.p_holm)}"
    return [difference_cell(gap.estimate, gap.metric), Cell(gap.outcome, p)]


def _detectable(gap: Difference) -> str:
    """Return the detectable difference of a metric, without a sign."""
    if not gap.detectable < METRICS[gap.metric].bounds[1]:
        return ABSENT
    return metric_difference(gap.detectable, gap.metric)[1:]
