"""What the runs of one variant say: measures, curves over training, the geometry of every layer.

Geometry is in the records of the variant ``none`` wherever validation accuracy is, in those of
other variants at the end; older records and studies without it have SNNL alone. Values that are
not finite are left out.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from layermix.experiments.store import Record, RunResult
from layermix.geometry.quantities import QUANTITIES
from layermix.reporting.formatting import MEASURES
from layermix.reporting.statistics.stats import Estimate, estimate

T = TypeVar("T")


@dataclass(frozen=True)
class CurvePoint:
    """Mean over seeds of something after an epoch, with its interval where there is one."""

    epoch: int
    mean: float
    low: float | None
    high: float | None


Curve = list[CurvePoint]


@dataclass(frozen=True)
class VariantSummary:
    """What the runs of one variant say.

    Attributes
    ----------
    name
        The variant.
    seeds
        The seeds that are finished, one at least.
    test, val
        Each of `MEASURES` on test and on validation data.
    train_loss, val_accuracy
        Curves over epochs.
    snnl
        For each mix point the SNNL over epochs, on the fixed held-out batch.
    geometry
        For each of `QUANTITIES` that was measured, and each mix point, its curve over epochs; SNNL
        over its chance level is always there.
    geometry_end
        The same after the last epoch: by quantity, by mix point, by seed.
    weights
        For each mix point how often it was chosen, over epochs; empty where that does not change.
    timings
        ``seconds`` of training and ``images_per_second``; the only numbers that differ between
        two runs of the same study.
    """

    name: str
    seeds: list[int]
    test: dict[str, Estimate]
    val: dict[str, Estimate]
    train_loss: Curve
    val_accuracy: Curve
    snnl: dict[str, Curve]
    geometry: dict[str, dict[str, Curve]]
    geometry_end: dict[str, dict[str, dict[int, float]]]
    weights: dict[str, Curve]
    timings: dict[str, Estimate]


def summarize_variant(name: str, runs: dict[int, RunResult]) -> VariantSummary:
    """Summarize the results of the finished seeds of a variant, one at least."""
    own = list(runs.values())
    epochs = [result.records for result in own]
    points = list(epochs[0][0]["snnl"])
    return VariantSummary(
        name=name,
        seeds=list(runs),
        test={m: estimate([result.test[m] for result in own]) for m in MEASURES},
        val={m: estimate([result.val[m] for result in own]) for m in MEASURES},
        train_loss=_curve(epochs, lambda record: record.get("train_loss")),
        val_accuracy=_curve(epochs, lambda record: record.get("val_accuracy")),
        snnl={
            p: _curve(epochs, lambda r, p=p: r["snnl"][p]["value"] if "snnl" in r else None)
            for p in points
        },
        geometry=_by_layer(points, lambda q, p: _curve(epochs, lambda r: _value(r, q, p))),
        geometry_end=_by_layer(points, lambda q, p: _at_end(list(runs), epochs, q, p)),
        weights=_weights(epochs),
        timings={
            t: estimate([result.timings[t] for result in own])
            for t in ("seconds", "images_per_second")
        },
    )


def _curve(runs: Iterable[list[Record]], read: Callable[[Record], float | None]) -> Curve:
    """Return mean and interval over runs of what `read` finds, epoch by epoch."""
    curve = []
    for records in zip(*runs, strict=True):
        values = [value for record in records if (value := read(record)) is not None]
        if values:
            found = estimate(values)
            curve.append(CurvePoint(records[0]["epoch"], found.mean, found.low, found.high))
    return curve


def _by_layer(points: list[str], read: Callable[[str, str], T]) -> dict[str, dict[str, T]]:
    """Return what `read` finds for each quantity and mix point, without what is empty."""
    found = {q: {p: values for p in points if (values := read(q, p))} for q in QUANTITIES}
    return {quantity: layers for quantity, layers in found.items() if layers}


def _at_end(
    seeds: list[int], epochs: list[list[Record]], quantity: str, point: str
) -> dict[int, float]:
    found = {
        s: _value(records[-1], quantity, point) for s, records in zip(seeds, epochs, strict=True)
    }
    return {seed: value for seed, value in found.items() if value is not None}


def _value(record: Record, quantity: str, point: str) -> float | None:
    """Return a quantity of a layer; SNNL also where a record has nothing else of the geometry."""
    value = record.get("geometry", {}).get(point, {}).get(quantity)
    if value is None and quantity == "snnl" and "snnl" in record:
        value = record["snnl"][point]["value"] / record["snnl"][point]["chance"]
    return value if value is not None and math.isfinite(value) else None


def _weights(epochs: list[list[Record]]) -> dict[str, Curve]:
    points = next((list(record["weights"]) for record in epochs[0] if "weights" in record), [])
    return {p: _curve(epochs, lambda r, p=p: r.get("weights", {}).get(p)) for p in points}
