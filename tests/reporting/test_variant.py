"""Tests of the summary of a variant: curves, final values, and weights from run records."""

from typing import Any

import pytest

from layermix.lab import RunResult
from layermix.reporting.formatting import METRICS
from layermix.reporting.variant import VariantSummary, summarize_variant

MEASURED = dict.fromkeys(METRICS, 0.5)
TIMINGS = {"seconds": 1.0, "examples_per_second": 1.0}


def record(epoch: int, value: float = 1.0, **more) -> dict[str, Any]:
    snnl = {
        p: {"value": value, "temperature": 1, "chance": 2.0, "n": 9} for p in ("input", "final")
    }
    return {"epoch": epoch, "snnl": snnl, "val_accuracy": 0.5, **more}


def measured(**values: float | None) -> dict[str, dict[str, float | None]]:
    return {"input": dict(values), "final": dict(values)}


def summary(*runs: list[dict[str, Any]]) -> VariantSummary:
    results = [RunResult(MEASURED, MEASURED, timings=TIMINGS, records=run) for run in runs]
    return summarize_variant("none", dict(enumerate(results)))


def test_records_without_geometry_give_only_snnl_over_chance() -> None:
    found = summary([record(0, 2.0), {"epoch": 1}, record(2, 0.5)])
    assert list(found.geometry) == list(found.geometry_end) == ["snnl"]
    curve = found.geometry["snnl"]["final"]
    assert [(point.epoch, point.mean) for point in curve] == [(0, 1.0), (2, 0.25)]
    assert found.geometry_end["snnl"]["final"] == {0: 0.25}
    assert found.weights == {}


def test_geometry_gives_mean_curves_and_values_by_seed() -> None:
    runs = [
        [record(0, geometry=measured(nc1=4.0 + s)), record(1, geometry=measured(nc1=2.0 + s))]
        for s in range(2)
    ]
    found = summary(*runs)
    points = found.geometry["nc1"]["input"]
    assert [(p.epoch, p.mean) for p in points] == [(0, 4.5), (1, 2.5)]
    assert points[0].low is not None
    assert points[0].low < 4.5
    assert found.geometry_end["nc1"]["input"] == {0: 2.0, 1: 3.0}


def test_geometry_of_one_record_is_a_curve_of_one_point() -> None:
    found = summary([record(0), record(1, geometry=measured(knn=0.9))])
    assert [point.epoch for point in found.geometry["knn"]["final"]] == [1]


@pytest.mark.parametrize("bad", [None, float("nan"), float("inf")])
def test_non_finite_values_are_ignored(bad: float | None) -> None:
    runs = [[record(1, geometry=measured(nc1=value, knn=bad))] for value in (bad, 2.0)]
    found = summary(*runs)
    assert found.geometry_end["nc1"]["input"] == {1: 2.0}
    assert found.geometry["nc1"]["input"][0].mean == 2.0
    assert "knn" not in found.geometry


def test_layer_without_a_value_is_omitted() -> None:
    geometry = {"input": {"nc1": None}, "final": {"nc1": 1.0}}
    found = summary([record(1, geometry=geometry)])
    assert list(found.geometry["nc1"]) == ["final"]


def test_weights_give_mean_curves() -> None:
    runs = [
        [
            record(0, weights={"input": 0.5, "final": 0.5}),
            {"epoch": 1},
            record(2, weights={"input": share, "final": 1 - share}),
        ]
        for share in (0.0, 0.2)
    ]
    curve = summary(*runs).weights["input"]
    assert [(point.epoch, point.mean) for point in curve] == [(0, 0.5), (2, 0.1)]
