"""What a report shows of layers: their geometry, and how it orders them, as cells of tables."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from layermix.geometry.quantities import QUANTITIES, Quantity
from layermix.reporting.formatting import (
    ABSENT,
    correlation,
    heading,
    interval,
    orders_word,
    p_value,
    significant,
)
from layermix.reporting.layer_notes import layer_notes
from layermix.reporting.statistics.rank_correlation import Rank
from layermix.reporting.statistics.stats import Estimate, estimate
from layermix.reporting.statistics.studies import Across
from layermix.reporting.summary import Summary

Cell = tuple[str, str]  # a mean and its interval


@dataclass(frozen=True)
class LayerTable:
    """Every quantity of every layer after training without mixing.

    Attributes
    ----------
    layers
        The columns, in the order of the net.
    rows
        Each quantity with a cell for each layer.
    missing
        Why there are no rows, where there are none.
    notes
        What one must know to read it rightly.
    """

    layers: list[str]
    rows: list[tuple[Quantity, list[Cell]]]
    missing: str
    notes: list[str]


def layer_table(summary: Summary) -> LayerTable:
    """Return the geometry of every layer, or why there is none."""
    unmixed = next((row for row in summary.variants if row.name == "none"), None)
    if unmixed is None:
        return _without("it takes a finished run without mixing, the variant none")
    found = unmixed.geometry_end
    if not found.keys() - {"snnl"}:
        return _without("the runs without mixing hold no quantity but SNNL")
    layers = list(unmixed.snnl)
    rows = [(QUANTITIES[q], [_cell(q, by.get(p, {})) for p in layers]) for q, by in found.items()]
    return LayerTable(layers, rows, "", layer_notes(found))


def _without(reason: str) -> LayerTable:
    return LayerTable([], [], reason, [])


def _cell(quantity: str, by_seed: dict[int, float]) -> Cell:
    if not by_seed:
        return ABSENT, ABSENT
    found = estimate(list(by_seed.values()))
    return significant(found.mean), interval(found, significant, QUANTITIES[quantity].bounds)


def rank_caption(layers: int) -> str:
    """Return what the table of `rank_rows` shows, and what its intervals and p-values are over."""
    return (
        f"Rank correlation, over {layers} layers, of a quantity without mixing with the gain from "
        "mixing there: mean and 95% interval over seeds; p over "
        f"{orders_word(layers)}"
    )


def rank_rows(ranks: list[Rank]) -> Iterator[dict[str, Any]]:
    """Yield how each quantity orders the layers, as a table shows it."""
    for row in ranks:
        yield {
            "heading": heading(row.quantity),
            "baseline": row.quantity == "depth",
            "meaning": meaning(row.quantity),
            "expected": sign(row.expected),
            "rho": rho_cell(row.estimate),
            "of_means": ABSENT if row.of_means is None else correlation(row.of_means),
            "seeds": str(len(row.seeds)),
            "p": ABSENT if row.p is None else p_value(row.p),
            "p_holm": ABSENT if row.p_holm is None else p_value(row.p_holm),
        }


def across_rows(found: Sequence[Across]) -> Iterator[list[str | Cell]]:
    """Yield a row for each quantity: heading, expected sign, rho in each study, and over them."""
    for row in found:
        cells = [rho_cell(each) for each in row.studies.values()]
        name = "depth, the baseline" if row.quantity == "depth" else heading(row.quantity)
        yield [name, sign(row.expected), *cells, rho_cell(row.over)]


def meaning(quantity: str) -> str:
    """Return what a quantity says."""
    known = QUANTITIES.get(quantity)
    return known.meaning if known else "place in the net, the first layer lowest"


def sign(expected: int) -> str:
    """Return an expected sign as a table shows it; ``±`` where none is expected."""
    return {1: "+", -1: "−", 0: "±"}[expected]


def rho_cell(found: Estimate | None) -> Cell:
    """Return a mean rho and its interval, both cut at ±1."""
    if found is None:
        return ABSENT, ABSENT
    return correlation(found.mean), interval(found, correlation)
