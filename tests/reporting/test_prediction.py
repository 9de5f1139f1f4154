"""Does geometry predict the best layer? The answer for every way a study can come out."""

import pytest

from layermix.geometry.quantities import QUANTITIES
from layermix.reporting.statistics.prediction import Prediction, predict
from layermix.reporting.statistics.stats import holm

LAYERS = ("input", "block1", "block2", "block3", "block4", "final")
Orders = dict[str, list[float]]


def foretold(
    seeds: int = 8,
    layers: tuple[str, ...] = LAYERS,
    gain: float = 0.01,
    orders: Orders | None = None,
    **more: list[float],
) -> Prediction:
    """Predict where the gain rises from layer to layer; orders are each quantity's values there."""
    accuracy = {"none": {s: 0.5 + 0.001 * s for s in range(seeds)}}
    for place, layer in enumerate(layers):
        accuracy[layer] = {s: v + gain * (place + 1) for s, v in accuracy["none"].items()}
    values = {
        name: {n: dict.fromkeys(range(seeds), v) for n, v in zip(layers, order, strict=True)}
        for name, order in ((orders or {}) | more).items()
    }
    return predict(layers, values, accuracy)


FALLING, RISING = [6.0, 5.0, 4.0, 3.0, 2.0, 1.0], [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]


def test_a_low_snnl_where_mixing_gains_most_is_the_hypothesis() -> None:
    found = foretold(snnl=FALLING)
    assert found.sentences[0] == (
        "Layers with a low SNNL gain more from mixing here: mean rho −1.00 over 8 seeds (95% "
        "interval −1.00 to −1.00), exact p = 0.00278 over the orders of 6 layers."
    )
    assert found.baseline == (
        "Depth alone, which measures nothing, is the baseline that a quantity must beat, whichever "
        "way depth runs: mean rho +1.00 over 8 seeds (95% interval +1.00 to +1.00). SNNL / chance "
        "does no better: mean rho −1.00 over 8 seeds (95% interval −1.00 to −1.00)."
    )
    (row,) = found.ranks
    assert (row.expected, row.of_means, row.side(row.p)) == (-1, pytest.approx(-1), "expected")


def test_a_high_snnl_where_mixing_gains_most_is_said_to_go_against_it() -> None:
    found = foretold(snnl=RISING)
    assert found.sentences[0].startswith("Against the hypothesis, layers with a low SNNL gain less")


def test_snnl_is_one_question_and_the_others_are_corrected_for_their_number() -> None:
    found = foretold(layers=LAYERS[:5], orders=dict.fromkeys(QUANTITIES, FALLING[:5]))
    assert [row.p_holm for row in found.ranks] == holm([2 / 120] * len(QUANTITIES))
    assert found.sentences[0].startswith("Layers with a low SNNL gain more from mixing here")
    told = (
        "of all 13 quantities, corrected for their number, none is shown to predict the gain (5 "
        "layers are too few to show any)"
    )
    assert told in found.sentences[0]
    (note,) = [note for note in found.notes if "corrected p-value" in note]
    assert note == (
        "With 5 layers and 13 quantities no corrected p-value can fall below 0.217, with any "
        "number of seeds: it takes 6 layers or more."
    )


def test_with_layers_enough_both_sides_are_named() -> None:
    found = foretold(snnl=[1, 3, 2, 4, 5, 6], knn=RISING, cka=RISING, nc1=RISING)
    assert "kNN accuracy (+1.00) and CKA with labels (+1.00) are shown to predict" in str(found)
    other = "Against the hypothesis SNNL / chance (+0.94) and NC1 (+1.00) are shown to order the"
    assert found.sentences[1].startswith(other)
    assert not any("it takes" in note for note in found.notes)


def test_all_quantities_need_no_list() -> None:
    found = foretold(snnl=FALLING, knn=RISING)
    assert "of all 2 quantities, corrected for their number, every one is shown to" in str(found)


def test_of_many_layers_the_first_and_the_last_are_named() -> None:
    layers = tuple(f"encoder.layers.{k}" for k in range(12))
    notes = foretold(layers=layers, snnl=[12.0 - k for k in range(12)]).notes
    assert "over the 12 layers from encoder.layers.0 to encoder.layers.11, between" in notes[0]


@pytest.mark.parametrize("seeds", [2, 20])
@pytest.mark.parametrize(("layers", "least"), [(3, "0.333"), (4, "0.0833")])
def test_few_layers_show_nothing_at_any_number_of_seeds_and_say_so(layers, least, seeds) -> None:
    orders = dict.fromkeys(QUANTITIES, FALLING[:layers])
    found = foretold(seeds, LAYERS[:layers], orders=orders)
    assert "SNNL is not shown to predict where mixing gains most" in found.sentences[0]
    assert f"exact p = {least} over the orders of {layers} layers" in found.sentences[0]
    assert (
        f"With {layers} layers p cannot fall below {least}, so that nothing can be shown at the "
        "0.05 level, with any number of seeds: it takes 5 layers or more, and 6 for 13 quantities "
        "together."
    ) in found.notes
    one = foretold(seeds, LAYERS[:layers], snnl=FALLING[:layers])
    assert any(note.endswith("it takes 5 layers or more.") for note in one.notes)


def test_one_seed_has_a_rho_and_no_interval() -> None:
    found = foretold(seeds=1, snnl=FALLING, knn=RISING)
    assert "SNNL is not shown" in found.sentences[0]
    assert "mean rho −1.00 over 1 seed (no interval), exact p = 0.00278" in found.sentences[0]
    assert "Of the 6 gains none has a 95% interval that excludes zero" in " ".join(found.notes)


def test_without_snnl_the_other_quantities_are_told_of() -> None:
    shown, not_shown = foretold(knn=RISING), foretold(layers=LAYERS[:4], knn=RISING[:4])
    assert shown.sentences[0] == "Here kNN accuracy (+1.00) is shown to predict the gain."
    assert not_shown.sentences[0] == "Here no quantity is shown to predict the gain."


def test_the_notes_tell_how_little_a_few_layers_say() -> None:
    notes = " ".join(foretold(snnl=FALLING, knn=RISING).notes)
    assert "over the 6 layers input, block1, block2, block3, block4 and final" in notes
    assert "has a 95% Student-t interval over seeds" in notes
    assert "p is over the orders of 6 layers, not over seeds" in notes
    assert "a perfect order arises by chance with probability 1/6! = 1/720" in notes
    assert "has the rho of depth" in notes
    assert "say nothing of other nets or other data" in notes
    assert "Of the 6 gains 6 have a 95% interval that excludes zero" in notes


def test_an_interval_without_width_is_not_left_to_be_taken_for_certainty() -> None:
    assert any("that is no certainty" in note for note in foretold(snnl=FALLING).notes)
    assert not any("no certainty" in note for note in foretold(seeds=1, snnl=FALLING).notes)


def test_gains_within_their_noise_are_counted() -> None:
    accuracy = {"none": dict.fromkeys(range(8), 0.5)}
    for place, layer in enumerate(LAYERS):
        noise = 0.001 if layer == "final" else 0.1
        accuracy[layer] = {s: 0.51 + 0.001 * place + noise * (-1) ** s for s in range(8)}
    values = {"snnl": {layer: dict.fromkeys(range(8), 1.0 + k) for k, layer in enumerate(LAYERS)}}
    notes = " ".join(predict(LAYERS, values, accuracy).notes)
    assert "Of the 6 gains 1 (final) has a 95% interval that excludes zero" in notes


def test_random_and_auto_are_not_layers() -> None:
    accuracy = {name: {0: 0.5, 1: 0.5} for name in ("none", "random", "auto", "logits", *LAYERS)}
    values = {"snnl": {layer: {0: 1.0, 1: 1.0} for layer in (*LAYERS, "random", "auto", "none")}}
    found = predict([*LAYERS, "random", "auto", "none"], values, accuracy)
    assert found.layers == list(LAYERS)


def test_only_seeds_at_which_every_layer_is_finished_count() -> None:
    accuracy = {
        name: dict.fromkeys(range(8 if place < 3 else 6), 0.5 + 0.01 * place)
        for place, name in enumerate(("none", *LAYERS))
    }
    values = {"snnl": {n: dict.fromkeys(range(8), float(k)) for k, n in enumerate(LAYERS)}}
    found = predict(LAYERS, values, accuracy)
    assert found.seeds == found.ranks[0].seeds == list(range(6))
    assert "Only 6 of 8 seeds count here" in " ".join(found.notes)


def test_values_that_are_missing_leave_their_seed_out_with_a_count() -> None:
    accuracy = {n: dict.fromkeys(range(3), 0.5 + 0.01 * k) for k, n in enumerate(("none", *LAYERS))}
    values = {
        q: {n: {0: 1.0 + k, 1: 2.0 + k, 2: 3.0 + k} for k, n in enumerate(LAYERS)}
        for q in ("snnl", "nc1")
    }
    del values["nc1"]["input"][1]
    found = predict(LAYERS, values, accuracy)
    assert [row.undefined for row in found.ranks] == [0, 1]
    assert "Seeds without a rho, of 3: NC1 (1)" in " ".join(found.notes)


def test_layers_that_all_gain_alike_have_no_order() -> None:
    found = foretold(gain=0.0, snnl=FALLING)
    assert found.sentences == [
        "No quantity of the layers has a rank correlation with the gain here: at every seed their "
        "values or gains are all equal, or some are missing."
    ]


@pytest.mark.parametrize(
    ("variants", "values", "words"),
    [
        (LAYERS, LAYERS, "it takes finished runs without mixing, the variant none"),
        (("none", *LAYERS), (), "the runs hold no measures of their layers"),
        (("none", "input", "final"), LAYERS, "and here are 2 (input and final)"),
        (("none", "random"), LAYERS, "it takes 3 layers that are measured and mixed at"),
    ],
)
def test_where_nothing_can_be_said_the_reason_is(variants, values, words) -> None:
    accuracy = {name: {0: 0.5} for name in variants}
    measured = {"snnl": {layer: {0: 1.0} for layer in values}} if values else {}
    found = predict(LAYERS, measured, accuracy)
    assert found.ranks == []
    assert found.sentences[0].startswith("Whether geometry predicts the best layer is not answered")
    assert words in found.sentences[0]


def test_layers_without_a_common_seed_are_not_compared() -> None:
    accuracy = {name: {seed: 0.5} for seed, name in enumerate(("none", *LAYERS))}
    found = predict(LAYERS, {"snnl": {layer: {0: 1.0} for layer in LAYERS}}, accuracy)
    assert "no seed has finished runs of no mixing and of all 6 layers" in str(found)
