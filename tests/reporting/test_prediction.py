"""Tests of the prediction of gains by geometry: ranks, several studies, and obstacles."""

import math

import pytest

from layermix.geometry import QUANTITIES
from layermix.reporting.statistics import Prediction, over_studies, predict
from layermix.reporting.statistics.paired import holm
from layermix.reporting.text import prediction_notes, prediction_text, studies_text

LAYERS = ("input", "block1", "block2", "block3", "block4", "final")
FALLING, RISING = [6.0, 5.0, 4.0, 3.0, 2.0, 1.0], [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]


def make_prediction(
    seeds: int = 8,
    layers: tuple[str, ...] = LAYERS,
    gain: float = 0.01,
    orders: dict[str, list[float]] | None = None,
    **more: list[float],
) -> Prediction:
    """Return a prediction for gains that increase by layer. `orders` has the quantity values."""
    accuracy = {"none": {s: 0.5 + 0.001 * s for s in range(seeds)}}
    for place, layer in enumerate(layers):
        accuracy[layer] = {s: v + gain * (place + 1) for s, v in accuracy["none"].items()}
    values = {
        name: {n: dict.fromkeys(range(seeds), v) for n, v in zip(layers, order, strict=True)}
        for name, order in ((orders or {}) | more).items()
    }
    return predict(layers, values, accuracy)


def test_low_snnl_with_high_gain_supports_the_hypothesis() -> None:
    found = make_prediction(snnl=FALLING)
    (row,) = found.ranks
    assert (row.expected, row.side) == (-1, 1)
    assert row.p == pytest.approx(2 / 720)
    assert found.depth is not None
    assert found.depth.estimate is not None
    assert found.depth.estimate.mean == pytest.approx(1)
    text = " ".join(prediction_text(found))
    assert "mean rho −1.00 over 8 seeds (95% interval −1.00 to −1.00), p = 0.00278" in text


def test_high_snnl_with_high_gain_contradicts_the_hypothesis() -> None:
    found = make_prediction(snnl=RISING)
    assert found.ranks[0].side == -1
    assert prediction_text(found)[0].startswith("Against the hypothesis")


def test_holm_correction_covers_all_quantities_but_not_snnl_alone() -> None:
    found = make_prediction(layers=LAYERS[:5], orders=dict.fromkeys(QUANTITIES, FALLING[:5]))
    assert [row.p_holm for row in found.ranks] == holm([2 / 120] * len(QUANTITIES))
    assert found.snnl is not None
    assert (found.snnl.side, found.snnl.side_holm) == (1, 0)
    assert any("0.217" in note and "6 layers" in note for note in prediction_notes(found))


def test_both_sides_are_reported_with_enough_layers() -> None:
    found = make_prediction(snnl=[1, 3, 2, 4, 5, 6], knn=RISING, cka=RISING, nc1=RISING)
    assert {row.quantity: row.side_holm for row in found.ranks} == {
        "snnl": -1,
        "knn": 1,
        "cka": 1,
        "nc1": -1,
    }
    text = " ".join(prediction_text(found))
    assert "kNN accuracy (+1.00) and CKA with labels (+1.00) are shown to predict" in text
    assert "SNNL / chance (+0.94) and NC1 (+1.00) are shown to rank" in text


@pytest.mark.parametrize("seeds", [2, 20])
@pytest.mark.parametrize(("layers", "least"), [(3, 1 / 3), (4, 1 / 12)])
def test_few_layers_give_no_result_for_any_number_of_seeds(layers, least, seeds) -> None:
    orders = dict.fromkeys(QUANTITIES, FALLING[:layers])
    found = make_prediction(seeds, LAYERS[:layers], orders=orders)
    assert found.snnl is not None
    assert (found.snnl.p, found.snnl.side) == (pytest.approx(least), 0)
    notes = " ".join(prediction_notes(found))
    assert "5 layers or more, and 6 for 13 quantities" in notes
    one = prediction_notes(make_prediction(seeds, LAYERS[:layers], snnl=FALLING[:layers]))
    assert any(note.endswith("5 layers or more.") for note in one)


def test_one_seed_has_a_rho_and_no_interval() -> None:
    found = make_prediction(seeds=1, snnl=FALLING, knn=RISING)
    assert found.snnl is not None
    assert found.snnl.side == 0
    assert "mean rho −1.00 over 1 seed (no interval), p = 0.00278" in prediction_text(found)[0]


def test_interval_of_width_zero_has_a_note() -> None:
    assert any("width zero" in note for note in prediction_notes(make_prediction(snnl=FALLING)))
    one = prediction_notes(make_prediction(seeds=1, snnl=FALLING))
    assert not any("width zero" in note for note in one)


def test_number_of_gains_that_exclude_zero_is_reported() -> None:
    accuracy = {"none": dict.fromkeys(range(8), 0.5)}
    for place, layer in enumerate(LAYERS):
        noise = 0.001 if layer == "final" else 0.1
        accuracy[layer] = {s: 0.51 + 0.001 * place + noise * (-1) ** s for s in range(8)}
    values = {"snnl": {layer: dict.fromkeys(range(8), 1.0 + k) for k, layer in enumerate(LAYERS)}}
    notes = " ".join(prediction_notes(predict(LAYERS, values, accuracy)))
    assert "Of the 6 gains 1 (final) has a 95% interval that excludes zero" in notes


def test_random_and_auto_are_not_ranked_as_layers() -> None:
    accuracy = {name: {0: 0.5, 1: 0.5} for name in ("none", "random", "auto", "logits", *LAYERS)}
    points = [*LAYERS, "random", "auto", "none"]
    values = {"snnl": {p: {0: 1.0 + k, 1: 1.0} for k, p in enumerate(points)}}
    found = predict(points, values, accuracy)
    assert found.layers == list(LAYERS)


def test_layer_with_two_names_is_ranked_once() -> None:
    accuracy = {"none": {0: 0.5}, "last": {0: 0.6}}
    accuracy |= {layer: {0: 0.6 if layer == "block4" else 0.51} for layer in LAYERS}
    order = dict(zip((*LAYERS, "last"), (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 5.0), strict=True))
    found = predict([*LAYERS, "last"], {"snnl": {p: {0: v} for p, v in order.items()}}, accuracy)
    assert (found.layers, found.repeated) == (list(LAYERS), ["last"])
    assert any("an earlier layer: last." in note for note in prediction_notes(found))


def test_seeds_with_unfinished_layers_are_ignored() -> None:
    accuracy = {
        name: dict.fromkeys(range(8 if place < 3 else 6), 0.5 + 0.01 * place)
        for place, name in enumerate(("none", *LAYERS))
    }
    values = {"snnl": {n: dict.fromkeys(range(8), float(k)) for k, n in enumerate(LAYERS)}}
    found = predict(LAYERS, values, accuracy)
    assert found.seeds == list(found.ranks[0].rhos) == list(range(6))
    assert "Only 6 of 8 seeds" in " ".join(prediction_notes(found))


def test_missing_value_excludes_its_seed_with_a_note() -> None:
    accuracy = {n: dict.fromkeys(range(3), 0.5 + 0.01 * k) for k, n in enumerate(("none", *LAYERS))}
    values = {
        q: {n: {0: 1.0 + k, 1: 2.0 + k, 2: 3.0 + k} for k, n in enumerate(LAYERS)}
        for q in ("snnl", "nc1")
    }
    del values["nc1"]["input"][1]
    found = predict(LAYERS, values, accuracy)
    assert [row.undefined for row in found.ranks] == [0, 1]
    assert "NC1 (1)" in " ".join(prediction_notes(found))


def test_equal_gains_have_no_rank_correlation() -> None:
    found = make_prediction(gain=0.0, snnl=FALLING)
    assert found.snnl is None
    assert found.ranks[0].undefined == 8
    assert len(prediction_text(found)) == 1


@pytest.mark.parametrize(
    ("variants", "values", "obstacle"),
    [
        (LAYERS, LAYERS, "none"),
        (("none", *LAYERS), (), "values"),
        (("none", "input", "final"), LAYERS, "layers"),
        (("none", "random"), LAYERS, "layers"),
    ],
)
def test_missing_prediction_has_an_obstacle(variants, values, obstacle) -> None:
    accuracy = {name: {0: 0.5} for name in variants}
    measured = {"snnl": {layer: {0: 1.0} for layer in values}} if values else {}
    found = predict(LAYERS, measured, accuracy)
    assert (found.ranks, found.obstacle) == ([], obstacle)
    assert len(prediction_text(found)) == 1
    assert prediction_notes(found) == []


def test_layers_without_a_common_seed_are_not_compared() -> None:
    accuracy = {name: {seed: 0.5} for seed, name in enumerate(("none", *LAYERS))}
    found = predict(LAYERS, {"snnl": {layer: {0: 1.0} for layer in LAYERS}}, accuracy)
    assert found.obstacle == "seeds"


def test_each_study_counts_once_over_studies() -> None:
    four = LAYERS[:4]
    first = make_prediction(layers=four, snnl=[4, 3, 2, 1], knn=[1, 2, 3, 4])
    found = over_studies({"a": first, "b": make_prediction(layers=four, snnl=[4, 2, 3, 1])})
    snnl, knn, depth = found
    assert snnl.estimate is not None
    assert snnl.estimate.values == pytest.approx((-1, -0.8))
    half = 12.7062047 * 0.1 * math.sqrt(2) / math.sqrt(2)  # t of one degree times s / sqrt(n)
    assert snnl.estimate.low == pytest.approx(-0.9 - half)
    assert snnl.estimate.high == pytest.approx(-0.9 + half)
    assert (snnl.p, snnl.side) == (0.5, 0)
    assert list(knn.rhos) == ["a"]
    assert (depth.quantity, depth.p_holm) == ("depth", None)
    assert any("2 studies are too few" in text for text in studies_text(found))


def test_many_consistent_studies_give_a_result() -> None:
    found = over_studies({str(k): make_prediction(snnl=FALLING, nc1=RISING) for k in range(8)})
    assert [(row.quantity, row.side_holm) for row in found[:2]] == [("snnl", 1), ("nc1", -1)]
    text = " ".join(studies_text(found))
    assert "mean rho −1.00 (95% interval −1.00 to −1.00, exact p = 0.00781)" in text
    assert "too few" not in text


def test_fewer_than_two_studies_give_no_result_over_studies() -> None:
    nothing = make_prediction(layers=("input", "final"), snnl=[1, 2])
    assert len(studies_text(over_studies({"a": nothing, "b": nothing}))) == 1
    one = over_studies({"a": nothing, "b": make_prediction(snnl=FALLING)})
    assert list(one[0].rhos) == ["b"]
    assert len(studies_text(one)) == 1
