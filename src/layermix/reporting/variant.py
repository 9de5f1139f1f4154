"""The results of one variant over its finished runs: metrics, curves, and geometry of layers.

The geometry is measured together with validation accuracy for the variant ``none``, and only at the
end for other variants. Values that are not finite are left out.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from layermix.experiments.store import Record, RunResult
from layermix.geometry import QUANTITIES
from layermix.reporting.formatting import METRICS
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
    test: dict[str, Estimate]  # each of `METRICS`
    val: dict[str, Estimate]
    views: Estimate | None  # test accuracy over shifted views of each image, if measured
    train_loss: Curve
    val_accuracy: Curve
    snnl: dict[str, Curve]  # of the monitored batch, by mix point
    geometry: dict[str, dict[str, Curve]]  # by quantity and mix point; SNNL is over chance
    geometry_end: dict[str, dict[str, BySeed]]  # after the last epoch
    weights: dict[str, Curve]  # how often each mix point was chosen; empty if that is constant
    timings: dict[str, Estimate]  # seconds, images_per_second: they differ from run to run

    @property
    def accuracy(self) -> BySeed:
        """Test accuracy by seed."""
        return dict(zip(self.seeds, self.test["accuracy"].values, strict=True))


def summarize_variant(name: str, runs: dict[int, RunResult]) -> VariantSummary:
    """Summarize the results of one or more finished seeds of a variant."""
    results = list(runs.values())
    epochs = [result.records for result in results]
    points = list(epochs[0][0]["snnl"])
    views = [result.test_views["accuracy"] for result in results if result.test_views]
    weighted = next((list(record["weights"]) for record in epochs[0] if "weights" in record), [])
    return VariantSummary(
        name=name,
        seeds=list(runs),
        test={m: estimate([result.test[m] for result in results]) for m in METRICS},
        val={m: estimate([result.val[m] for result in results]) for m in METRICS},
        views=estimate(views) if views else None,
        train_loss=_curve(epochs, lambda record: record.get("train_loss")),
        val_accuracy=_curve(epochs, lambda record: record.get("val_accuracy")),
        snnl={p: _curve(epochs, lambda r, p=p: _snnl(r, p)) for p in points},
        geometry=_by_layer(points, lambda q, p: _curve(epochs, lambda r: _value(r, q, p))),
        geometry_end=_by_layer(points, lambda q, p: _at_end(runs, q, p)),
        weights={p: _curve(epochs, lambda r, p=p: r.get("weights", {}).get(p)) for p in weighted},
        timings={
            t: estimate([result.timings[t] for result in results])
            for t in ("seconds", "images_per_second")
        },
    )


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


def _at_end(runs: dict[int, RunResult], quantity: str, point: str) -> BySeed:
    found = {seed: _value(result.records[-1], quantity, point) for seed, result in runs.items()}
    return {seed: value for seed, value in found.items() if value is not None}


def _snnl(record: Record, point: str) -> float | None:
    return record["snnl"][point]["value"] if "snnl" in record else None


def _value(record: Record, quantity: str, point: str) -> float | None:
    """Return a quantity of a layer in a record, or None if it is missing or not finite."""
    value = record.get("geometry", {}).get(point, {}).get(quantity)
    if value is None and quantity == "snnl" and "snnl" in record:
        value = record["snnl"][point]["value"] / record["snnl"][point]["chance"]
    return value if value is not None and math.isfinite(value) else None
