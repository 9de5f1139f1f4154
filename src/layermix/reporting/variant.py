"""The results of one variant over its finished runs: metrics, curves, and geometry of layers.

The geometry is measured together with validation accuracy for the variant ``none``, and only at the
end for other variants. After training without mixing it is the mean over several held-out batches.
Values that are not finite are left out.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import fmean
from typing import TypeVar

from layermix.geometry import QUANTITIES
from layermix.lab.store import Record, RunResult
from layermix.reporting.formatting import METRICS
from layermix.reporting.geometry_reliability import Reliability, reliabilities, sizes_of
from layermix.reporting.statistics import BySeed, Estimate, estimate

T = TypeVar("T")


@dataclass(frozen=True)
class CurvePoint:
    """Mean over seeds of a value after an epoch, with its 95% interval."""

    epoch: int
    mean: float
    low: float | None
    high: float | None


Curve = list[CurvePoint]


@dataclass(frozen=True)
class VariantSummary:
    """The results of one variant: estimates over seeds, and curves over epochs."""

    name: str
    seeds: list[int]  # the finished ones
    test: dict[str, Estimate]  # those of `METRICS` that all its runs have
    val: dict[str, Estimate]
    clean: dict[str, Estimate]  # `test` with clean norm statistics; empty without batch norms
    views: Estimate | None  # test accuracy over shifted views of each image, if measured
    train_loss: Curve
    val_accuracy: Curve
    seed_curves: dict[int, list[float]]  # validation accuracy at the epochs of `val_accuracy`
    snnl: dict[str, Curve]  # of the monitored batch, by mix point
    geometry: dict[str, dict[str, Curve]]  # by quantity and mix point; SNNL is over chance
    geometry_end: dict[str, dict[str, BySeed]]  # after the last epoch, on the largest batches
    geometry_by_size: dict[int, dict[str, dict[str, BySeed]]]  # by number of examples of a batch
    reliability: dict[str, list[Reliability]]  # of each quantity, at each batch size
    weights: dict[str, Curve]  # how often each mix point was chosen; empty if that is constant
    timings: dict[str, Estimate]  # seconds, examples_per_second: they differ from run to run

    @property
    def accuracy(self) -> BySeed:
        """Test accuracy by seed."""
        return self.values("accuracy")

    def values(self, metric: str, *, clean: bool = False) -> BySeed:
        """Return a test metric by seed; empty if the runs do not have it."""
        found = (self.clean if clean else self.test).get(metric)
        return dict(zip(self.seeds, found.values, strict=True)) if found else {}


def summarize_variant(name: str, runs: dict[int, RunResult]) -> VariantSummary:
    """Summarize the results of one or more finished seeds of a variant."""
    results = list(runs.values())
    epochs = [result.records for result in results]
    measured = [[record for record in records if "snnl" in record] for records in epochs]
    points = list(epochs[0][0]["snnl"]) if epochs[0] else []
    views = [result.test_views["accuracy"] for result in results if result.test_views]
    weighted = next((list(record["weights"]) for record in epochs[0] if "weights" in record), [])
    last = [records[-1] for records in epochs if records]
    sizes = sizes_of(last)
    clean = [result.clean["test"] for result in results if result.clean]
    return VariantSummary(
        name=name,
        seeds=list(runs),
        test=_estimates([result.test for result in results]),
        val=_estimates([result.val for result in results]),
        clean=_estimates(clean) if len(clean) == len(results) else {},
        views=estimate(views) if views else None,
        train_loss=_curve(epochs, lambda record: record.get("train_loss")),
        val_accuracy=_curve(epochs, lambda record: record.get("val_accuracy")),
        seed_curves={
            seed: [record["val_accuracy"] for record in records if "val_accuracy" in record]
            for seed, records in zip(runs, epochs, strict=True)
        },
        snnl={p: _curve(measured, lambda r, p=p: _snnl(r, p)) for p in points},
        geometry=_by_layer(points, lambda q, p: _curve(measured, lambda r: _value(r, q, p))),
        geometry_end=_by_layer(points, lambda q, p: _at_end(runs, q, p, next(iter(sizes), None))),
        geometry_by_size={
            size: _by_layer(points, lambda q, p, size=size: _at_end(runs, q, p, size))
            for size in sizes
        },
        reliability=reliabilities(last),
        weights={p: _curve(epochs, lambda r, p=p: r.get("weights", {}).get(p)) for p in weighted},
        timings={
            t: estimate([result.timings[t] for result in results])
            for t in ("seconds", "examples_per_second")
            if all(t in result.timings for result in results)
        },
    )


def _estimates(runs: list[dict[str, float]]) -> dict[str, Estimate]:
    """Return the mean of each metric that all runs have."""
    return {m: estimate([run[m] for run in runs]) for m in METRICS if all(m in run for run in runs)}


def _curve(runs: Iterable[list[Record]], read: Callable[[Record], float | None]) -> Curve:
    """For each epoch, return the mean over runs of a value in the records, and its interval."""
    curve = []
    for records in zip(*runs, strict=True):
        values = [value for record in records if (value := read(record)) is not None]
        if values:
            found = estimate(values)
            curve.append(CurvePoint(records[0]["epoch"], found.mean, found.low, found.high))
    return curve


def _by_layer(points: list[str], read: Callable[[str, str], T]) -> dict[str, dict[str, T]]:
    """Return ``read(quantity, point)`` for all quantities and points, without empty results."""
    found = {q: {p: values for p in points if (values := read(q, p))} for q in QUANTITIES}
    return {quantity: layers for quantity, layers in found.items() if layers}


def _at_end(runs: dict[int, RunResult], quantity: str, point: str, size: int | None) -> BySeed:
    """Return a quantity of a layer after training, by seed: the mean over held-out batches.

    They have `size` examples; if it is None, the monitored batch is used.
    """
    found: dict[int, float | None] = {}
    for seed, result in runs.items():
        last = result.records[-1]
        if size is None:
            found[seed] = _value(last, quantity, point)
            continue
        values = [batch.get(point, {}).get(quantity) for batch in last["batches"][str(size)]]
        found[seed] = None if None in values else fmean(values)
    return {seed: value for seed, value in found.items() if value is not None}


def _snnl(record: Record, point: str) -> float | None:
    return record["snnl"][point]["value"] if "snnl" in record else None


def _value(record: Record, quantity: str, point: str) -> float | None:
    """Return a quantity of a layer in a record, or None if it is missing or not finite."""
    value = record.get("geometry", {}).get(point, {}).get(quantity)
    if value is None and quantity == "snnl" and "snnl" in record:
        value = record["snnl"][point]["value"] / record["snnl"][point]["chance"]
    return value if value is not None and math.isfinite(value) else None
