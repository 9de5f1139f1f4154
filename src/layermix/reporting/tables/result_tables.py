"""Tables of the results of each variant: metrics, times, and the accuracy of each seed."""

from collections.abc import Iterator

from layermix.geometry.quantities import POSITIVE
from layermix.reporting.formatting import (
    ABSENT,
    MAIN_METRICS,
    interval,
    number,
    percent,
    percentage_points,
    seconds,
    variant_meaning,
)
from layermix.reporting.summary import Summary
from layermix.reporting.tables.table import (
    Cell,
    Column,
    Table,
    metric_cell,
    metric_columns,
    variant_row,
)
from layermix.reporting.variant import VariantSummary


def metrics_table(summary: Summary) -> Table:
    """Return the most important test metrics and the times of every planned variant."""
    columns = [Column("variant"), Column("seeds"), *metric_columns(MAIN_METRICS)]
    columns += [Column("training, s"), Column("examples/s")]
    best = summary.verdict.winner
    rows = []
    for name in summary.planned:
        row = summary.variant(name)
        cells = list(_metrics(row)) if row else [Cell(ABSENT)] * (len(columns) - 2)
        mark = "best" if name == best else ""
        rows.append(variant_row(name, [Cell(_seeds(summary, row)), *cells], mark))
    caption = f"Metrics of each variant; {variant_meaning(best)} was best on validation data"
    return Table("metrics", caption, columns, rows)


def seeds_table(summary: Summary) -> Table:
    """Return the test accuracy of every run."""
    seeds = sorted({seed for row in summary.variants for seed in row.seeds})
    rows = []
    for row in summary.variants:
        cells = [Cell(percent(row.accuracy[s]) if s in row.accuracy else ABSENT) for s in seeds]
        rows.append(variant_row(row.name, cells))
    columns = [Column("variant"), *(Column(f"seed {seed}") for seed in seeds)]
    return Table("seeds", "Test accuracy of each seed, %", columns, rows)


def overview_table(summary: Summary) -> Table:
    """Return the most important numbers of every variant, for the terminal."""
    baseline, clean = summary.baseline, any(row.clean for row in summary.variants)
    names = ["seeds", "accuracy, %"]
    names += [f"− {baseline}", "verdict"] if baseline else []
    names += ["clean, %"] * clean + ["NLL", "ECE", "s/run"]
    rows = []
    for whole in metrics_table(summary).rows:
        seeds, accuracy, nll, _, ece, time, _ = whole.cells
        row, cells = summary.variant(whole.heading), [seeds, accuracy]
        if gap := summary.difference(whole.heading, "accuracy"):
            cells += [Cell(percentage_points(gap.estimate.mean)), Cell(gap.outcome)]
        elif baseline:
            cells += [Cell(""), Cell("")]
        if clean:
            cells.append(Cell(percent(row.clean["accuracy"].mean) if row and row.clean else ABSENT))
        cells += [Cell(cell.text) for cell in (nll, ece, time)]
        rows.append(whole._replace(cells=cells))
    caption = (
        f"{summary.data}, {summary.model}: test data, mean over {summary.unit} with 95% interval"
    )
    return Table("overview", caption, [Column("variant"), *map(Column, names)], rows)


def _seeds(summary: Summary, row: VariantSummary | None) -> str:
    """Return the number of finished seeds, as ``2/8`` in a study that is not finished."""
    count = len(row.seeds) if row else 0
    return str(count) if summary.done == summary.total else f"{count}/{summary.sizes['seeds']}"


def _metrics(row: VariantSummary) -> Iterator[Cell]:
    for name in MAIN_METRICS:
        yield metric_cell(row.test.get(name), name)
    for name, show in (("seconds", seconds), ("examples_per_second", lambda v: number(v, 0))):
        found = row.timings.get(name)
        yield Cell(show(found.mean), interval(found, show, POSITIVE)) if found else Cell(ABSENT)
