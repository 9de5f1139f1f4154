"""The tables of a report as text cells, shared by HTML, Markdown and the terminal."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from layermix.geometry.quantities import POSITIVE, QUANTITIES
from layermix.reporting.formatting import (
    ABSENT,
    METRICS,
    correlation,
    heading,
    interval,
    number,
    orders,
    p_heading,
    p_value,
    percent,
    percentage_points,
    seconds,
    significant,
    variant_meaning,
)
from layermix.reporting.statistics import BySeed, Difference, Estimate, Prediction, Rank, estimate
from layermix.reporting.summary import Summary
from layermix.reporting.variant import VariantSummary

_SIGNS = {1: "+", -1: "−", 0: "±"}
_FORMATS = {"accuracy": percent}  # of metrics; all others have four decimals


class Cell(NamedTuple):
    """A value and its interval as text; the interval is a dash if there is none."""

    text: str
    interval: str = ABSENT


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


def metrics_table(summary: Summary) -> Table:
    """Return the test metrics and times of every planned variant."""
    columns = [Column("variant"), Column("seeds")]
    columns += [
        Column(f"{m.heading}{', %' * (k in _FORMATS)}", m.meaning) for k, m in METRICS.items()
    ]
    columns += [Column("training, s"), Column("images/s")]
    best = summary.verdict.winner
    rows = []
    for name in summary.planned:
        row = summary.variant(name)
        cells = list(_metrics(row)) if row else [Cell(ABSENT)] * (len(columns) - 2)
        mark = "best" if name == best else ""
        rows.append(Row(name, variant_meaning(name), mark, [Cell(_seeds(summary, row)), *cells]))
    caption = f"Metrics of each variant; {variant_meaning(best)} was best on validation data"
    return Table("metrics", caption, columns, rows)


def _seeds(summary: Summary, row: VariantSummary | None) -> str:
    """Return the number of finished seeds, as ``2/8`` in a study that is not finished."""
    count = len(row.seeds) if row else 0
    return str(count) if summary.done == summary.total else f"{count}/{summary.sizes['seeds']}"


def _metrics(row: VariantSummary) -> Iterator[Cell]:
    for name, metric in METRICS.items():
        show = _FORMATS.get(name, lambda value: number(value, 4))
        yield Cell(show(row.test[name].mean), interval(row.test[name], show, metric.bounds))
    for name, show in (("seconds", seconds), ("images_per_second", lambda v: number(v, 0))):
        found = row.timings[name]
        yield Cell(show(found.mean), interval(found, show, POSITIVE))


def seeds_table(summary: Summary) -> Table:
    """Return the test accuracy of every run."""
    seeds = sorted({seed for row in summary.variants for seed in row.seeds})
    rows = []
    for row in summary.variants:
        cells = [Cell(percent(row.accuracy[s]) if s in row.accuracy else ABSENT) for s in seeds]
        rows.append(Row(row.name, variant_meaning(row.name), "", cells))
    columns = [Column("variant"), *(Column(f"seed {seed}") for seed in seeds)]
    return Table("seeds", "Test accuracy of each seed, %", columns, rows)


def difference_tables(summary: Summary) -> Iterator[Table]:
    """For each baseline, yield a table of paired differences of test accuracy from it."""
    for baseline, gaps in summary.differences.items():
        p = p_heading(max(gap.estimate.n for gap in gaps))
        columns = [Column("variant"), Column("points"), Column("seeds"), Column(p)]
        columns.append(Column("p, Holm", "corrected for all rows of this table"))
        cells = {gap.variant: _difference(gap) for gap in gaps}
        others = [name for name in summary.planned if name != baseline]
        rows = [
            Row(name, variant_meaning(name), "", cells.get(name, [Cell(ABSENT)] * 4))
            for name in others
        ]
        caption = f"Against {variant_meaning(baseline)} ({baseline}), over {summary.unit}"
        yield Table(f"differences-{baseline}", caption, columns, rows)


def _difference(gap: Difference) -> list[Cell]:
    found = gap.estimate
    mean = Cell(percentage_points(found.mean), interval(found, percentage_points))
    return [mean, Cell(str(found.n)), Cell(p_value(gap.p)), Cell(p_value(gap.p_holm))]


def overview_table(summary: Summary) -> Table:
    """Return the most important numbers of every variant, for the terminal."""
    names = ("seeds", "accuracy, %", "− none", "p", "p Holm", "NLL", "ECE", "s/run")
    gaps = {gap.variant: gap for gap in summary.differences.get("none", [])}
    rows = []
    for whole in metrics_table(summary).rows:
        seeds, accuracy, nll, _, ece, time, _ = whole.cells
        gap = gaps.get(whole.heading)
        compared = [Cell(""), Cell(""), Cell("")]
        if gap:
            mean = Cell(percentage_points(gap.estimate.mean))
            compared = [mean, Cell(p_value(gap.p)), Cell(p_value(gap.p_holm))]
        others = [Cell(cell.text) for cell in (nll, ece, time)]
        rows.append(whole._replace(cells=[seeds, accuracy, *compared, *others]))
    caption = (
        f"{summary.data}, {summary.model}: test data, mean over {summary.unit} with 95% interval"
    )
    return Table("overview", caption, [Column("variant"), *map(Column, names)], rows)


def geometry_table(summary: Summary) -> Table | None:
    """Return all quantities of each layer without mixing; None if only SNNL was measured."""
    row = summary.unmixed
    if row is None or not row.geometry_end.keys() - {"snnl"}:
        return None
    layers = list(row.snnl)
    rows = []
    for name, by_layer in row.geometry_end.items():
        cells = [_quantity(name, by_layer.get(layer, {})) for layer in layers]
        found = QUANTITIES[name]
        rows.append(Row(f"{found.heading}\u00a0{found.arrow}", found.meaning, "", cells))
    caption = "Each layer of the network that was trained without mixing"
    return Table("geometry", caption, [Column("quantity"), *map(Column, layers)], rows)


def _quantity(name: str, by_seed: BySeed) -> Cell:
    if not by_seed:
        return Cell(ABSENT)
    found = estimate(list(by_seed.values()))
    return Cell(significant(found.mean), interval(found, significant, QUANTITIES[name].bounds))


def ranks_table(prediction: Prediction) -> Table:
    """Return a table of the rank correlation between each quantity (and depth) and the gain."""
    columns = [
        Column("quantity"),
        Column("sign", "the sign that the hypothesis expects: mix where classes are apart"),
        Column("rho"),
        Column("seeds"),
        Column("p", f"over {orders(len(prediction.layers))}"),
        Column("p, Holm", "corrected for all quantities"),
    ]
    rows = [_rank(row, [_rho(row.estimate), *_of_rank(row)]) for row in prediction.rows]
    caption = (
        f"Rank correlation, over {len(prediction.layers)} layers, of a quantity without mixing "
        "and the gain from mixing there: mean and 95% interval over seeds"
    )
    return Table("ranks", caption, columns, rows)


def _of_rank(row: Rank) -> list[Cell]:
    return [Cell(text) for text in (str(len(row.rhos)), p_value(row.p), p_value(row.p_holm))]


def studies_table(predictions: dict[str, Prediction], ranks: Sequence[Rank]) -> Table:
    """Return the rank correlation of each quantity in each study, and the mean over studies."""
    found = {name: {r.quantity: r.estimate for r in p.rows} for name, p in predictions.items()}
    rows = []
    for row in ranks:
        cells = [_rho(by_quantity.get(row.quantity)) for by_quantity in found.values()]
        rows.append(_rank(row, [*cells, _rho(row.estimate)]))
    columns = ["quantity", "sign", *predictions, "mean over studies"]
    caption = "Rank correlation of geometry and gain from mixing, over layers, with 95% interval"
    return Table("studies", caption, list(map(Column, columns)), rows)


def _rank(row: Rank, cells: list[Cell]) -> Row:
    depth = row.quantity == "depth"
    title = "depth, the baseline" if depth else heading(row.quantity)
    known = QUANTITIES.get(row.quantity)
    meaning = known.meaning if known else "position in the network, the first layer lowest"
    return Row(title, meaning, "baseline" * depth, [Cell(_SIGNS[row.expected]), *cells])


def _rho(found: Estimate | None) -> Cell:
    if found is None:
        return Cell(ABSENT)
    return Cell(correlation(found.mean), interval(found, correlation))
