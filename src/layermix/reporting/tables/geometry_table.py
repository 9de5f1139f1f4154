"""The table of the geometry of layers."""

from layermix.geometry.quantities import QUANTITIES
from layermix.reporting.formatting import ABSENT, correlation, interval, significant
from layermix.reporting.geometry_reliability import Reliability
from layermix.reporting.statistics import RELIABLE, BySeed, estimate
from layermix.reporting.summary import Summary
from layermix.reporting.tables.table import Cell, Column, Row, Table


def geometry_table(summary: Summary) -> Table | None:
    """Return all quantities of each layer without mixing; None if only SNNL was measured."""
    row = summary.unmixed
    if row is None or not row.geometry_end.keys() - {"snnl"}:
        return None
    layers = list(row.snnl)
    sizes = [each.size for each in next(iter(row.reliability.values()), [])]
    columns = [Column("quantity"), *map(Column, layers)]
    for size in sizes:
        columns.append(
            Column(
                f"reliability, N = {size}",
                "of the order of layers, mean over disjoint batches (Spearman-Brown); "
                f"below {RELIABLE} it is marked",
            )
        )
    if len(sizes) > 1:
        columns.append(Column("agreement", "rank correlation of the orders for the two N"))
    rows = []
    for name, by_layer in row.geometry_end.items():
        cells = [_quantity(name, by_layer.get(layer, {})) for layer in layers]
        cells += _reliability(row.reliability.get(name), len(sizes))
        found = QUANTITIES[name]
        rows.append(Row(f"{found.heading}\u00a0{found.arrow}", found.meaning, "", cells))
    size = f", N = {sizes[0]}" if sizes else ""
    caption = f"Each layer of the network that was trained without mixing{size}"
    return Table("geometry", caption, columns, rows)


def _quantity(name: str, by_seed: BySeed) -> Cell:
    if not by_seed:
        return Cell(ABSENT)
    found = estimate(list(by_seed.values()))
    return Cell(significant(found.mean), interval(found, significant, QUANTITIES[name].bounds))


def _reliability(found: list[Reliability] | None, sizes: int) -> list[Cell]:
    if found is None:
        return [Cell(ABSENT)] * (sizes + (sizes > 1))
    marks = ["" if each.is_reliable else " ✗" for each in found]
    cells = [Cell(f"{correlation(e.value)}{mark}") for e, mark in zip(found, marks, strict=True)]
    return cells + [Cell(correlation(found[-1].agreement))] * (sizes > 1)
