"""Reliability of the geometry of layers: over batches of examples, and over their sizes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from layermix.geometry import QUANTITIES
from layermix.lab.store import Record
from layermix.reporting.statistics import RELIABLE, reliability
from layermix.reporting.statistics.reliability import rank_correlation


@dataclass(frozen=True)
class Reliability:
    """Reliability of a quantity on batches of one size: means over seeds.

    `value` is that of the mean over the batches (see `statistics.reliability`). `agreement` is the
    rank correlation, across layers, with the means over the largest batches; 1 for these.
    """

    size: int
    batches: int
    value: float
    agreement: float

    @property
    def is_reliable(self) -> bool:
        """True if other examples give the layers nearly the same order."""
        return self.value >= RELIABLE


def reliabilities(last_records: Sequence[Record]) -> dict[str, list[Reliability]]:
    """Return the reliability of each quantity at each batch size, the largest size first.

    Quantities without a finite value of some layer at some seed are left out.
    """
    runs, sizes = [record.get("batches") or {} for record in last_records], sizes_of(last_records)
    if not sizes:
        return {}
    found: dict[str, list[Reliability]] = {}
    for quantity in QUANTITIES:
        tables = {size: [_table(run[str(size)], quantity) for run in runs] for size in sizes}
        rows = [_of_size(size, tables[size], tables[sizes[0]]) for size in sizes]
        if None not in rows:
            found[quantity] = [row for row in rows if row]
    return found


def sizes_of(last_records: Sequence[Record]) -> list[int]:
    """Return the sizes of batches that all runs have, the largest first.

    They differ between runs if classes are rare and each seed has its own test examples.
    """
    sizes = [set(record.get("batches") or ()) for record in last_records]
    if not sizes:
        return []
    return sorted(map(int, set.intersection(*sizes)), reverse=True)


def _of_size(
    size: int, tables: Sequence[np.ndarray], largest: Sequence[np.ndarray]
) -> Reliability | None:
    fewest = min(map(len, tables))
    values = np.stack([table[:fewest] for table in tables])  # (runs, batches, layers)
    reference = np.stack([table.mean(0) for table in largest])
    found = reliability(values)
    if found is None:
        return None
    agreement = rank_correlation(values.mean(1), reference)
    return Reliability(size, values.shape[1], float(found.mean()), float(agreement.mean()))


def _table(batches: Sequence[dict[str, dict[str, Any]]], quantity: str) -> np.ndarray:
    """Return the values of a quantity, float64 (batches, layers); NaN for missing ones."""
    return np.array([[v.get(quantity) for v in batch.values()] for batch in batches], dtype=float)
