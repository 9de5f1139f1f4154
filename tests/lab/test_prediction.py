"""Does geometry predict the best layer? The answer for every way a study can come out."""

import math

import pytest

from layermix.geometry.quantities import QUANTITIES
from layermix.lab.answer.prediction import Prediction, predict
from layermix.lab.answer.stats import holm
from layermix.lab.answer.studies import in_words, over_studies

LAYERS = ("input", "block1", "block2", "final")
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


FALLING, RISING = [4.0, 3.0, 2.0, 1.0], [1.0, 2.0, 3.0, 4.0]


def test_a_low_snnl_where_mixing_gains_most_is_the_hypothesis() -> None:
    found = foretold(snnl=FALLING)
    assert found.sentences[0] == (
        "Layers with a low SNNL gain more from mixing here: mean rho −1.00 over 8 seeds (95% "
        "interval −1.00 to −1.00), exact p = 0.00781."
    )
    assert found.baseline == (
        "Depth alone, which measures nothing, is the baseline that a quantity must beat: mean rho "
        "+1.00 over 8 seeds (95% interval +1.00 to +1.00). SNNL / chance does no better: mean rho "
        "−1.00 over 8 seeds (95% interval −1.00 to −1.00)."
    )
    (row,) = found.ranks
    assert (row.expected, row.of_means, row.side(row.p)) == (-1, pytest.approx(-1), "expected")


def test_a_high_snnl_where_mixing_gains_most_is_said_to_go_against_it() -> None:
    found = foretold(snnl=RISING)
    assert found.sentences[0].startswith("Against the hypothesis, layers with a low SNNL gain less")


def test_snnl_is_one_question_and_the_others_are_corrected_for_their_number() -> None:
    found = foretold(seeds=8, orders=dict.fromkeys(QUANTITIES, FALLING))
    assert [row.p_holm for row in found.ranks] == holm([2 / 256] * len(QUANTITIES))
    assert found.sentences[0].startswith("Layers with a low SNNL gain more from mixing here")
    told = "of all 13 quantities, corrected for their number, none is shown to predict the gain"
    assert told in found.sentences[0]
    (note,) = [note for note in found.notes if "corrected p-value" in note]
    assert "With 8 seeds and 13 quantities no corrected p-value can fall below 0.102" in note
    assert "10 seeds or more" in note


def test_with_seeds_enough_both_sides_are_named() -> None:
    found = foretold(seeds=10, snnl=[1, 3, 2, 4], knn=RISING, cka=RISING, nc1=RISING)
    assert "kNN accuracy (+1.00) and CKA with labels (+1.00) are shown to predict" in str(found)
    other = "Against the hypothesis SNNL / chance (+0.80) and NC1 (+1.00) are shown to order the"
    assert found.sentences[1].startswith(other)
    assert not any("it takes" in note for note in found.notes)


def test_all_quantities_need_no_list() -> None:
    found = foretold(seeds=10, snnl=FALLING, knn=RISING)
    assert "of all 2 quantities, corrected for their number, every one is shown to" in str(found)


def test_of_many_layers_the_first_and_the_last_are_named() -> None:
    layers = tuple(f"encoder.layers.{k}" for k in range(12))
    notes = foretold(layers=layers, snnl=[12.0 - k for k in range(12)]).notes
    assert "over the 12 layers from encoder.layers.0 to encoder.layers.11, between" in notes[0]


def test_few_seeds_show_nothing_and_say_so() -> None:
    found = foretold(seeds=3, snnl=FALLING)
    assert "SNNL is not shown to predict where mixing gains most" in found.sentences[0]
    assert any("no p below 0.25: it takes 6 seeds or more" in note for note in found.notes)


def test_one_seed_has_a_rho_and_no_interval() -> None:
    found = foretold(seeds=1, snnl=FALLING, knn=RISING)
    assert "mean rho −1.00 over 1 seed (no interval), exact p = 1" in found.sentences[0]
    assert "Of the 4 gains none has a 95% interval that excludes zero" in " ".join(found.notes)


def test_without_snnl_the_other_quantities_are_told_of() -> None:
    shown, not_shown = foretold(seeds=10, knn=RISING), foretold(seeds=3, knn=RISING)
    assert shown.sentences[0] == "Here kNN accuracy (+1.00) is shown to predict the gain."
    assert not_shown.sentences[0] == "Here no quantity is shown to predict the gain."


def test_the_notes_tell_how_little_a_few_layers_say() -> None:
    notes = " ".join(foretold(snnl=FALLING, knn=RISING).notes)
    assert "over the 4 layers input, block1, block2 and final" in notes
    assert (
        f"a perfect order arises by chance with probability 1/4! = 1/{math.factorial(4)}" in notes
    )
    assert "has the rho of depth" in notes
    assert "say nothing of other nets or other data" in notes
    assert "Of the 4 gains 4 have a 95% interval that excludes zero" in notes


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
    assert "Of the 4 gains 1 (final) has a 95% interval that excludes zero" in notes


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
    assert "no seed has finished runs of no mixing and of all 4 layers" in str(found)


def test_over_studies_each_study_counts_once() -> None:
    studies = {"a": foretold(snnl=FALLING, knn=RISING), "b": foretold(snnl=[4, 2, 3, 1])}
    snnl, knn, depth = over_studies(studies)
    assert snnl.over is not None
    assert snnl.over.values == pytest.approx((-1, -0.8))
    assert snnl.over.n == 2
    half = 12.7062047 * 0.1 * math.sqrt(2) / math.sqrt(2)  # t of one degree times s / sqrt(n)
    assert (snnl.over.low, snnl.over.high) == (
        pytest.approx(-0.9 - half),
        pytest.approx(-0.9 + half),
    )
    assert (snnl.p, snnl.side(snnl.p), snnl.agree) == (0.5, "undecided", True)
    assert knn.studies["b"] is None
    assert (depth.quantity, depth.p_holm) == ("depth", None)
    assert "Over 2 studies SNNL is not shown" in in_words([snnl, knn, depth])
    told = in_words([snnl, knn, depth])
    few = "2 studies are too few to show anything at the 0.05 level; it takes 6. Rho has the"
    assert f"{few} expected sign in each of the 2 for SNNL / chance, which shows nothing" in told
    assert "by chance alone one quantity in 4 has" in told


def test_many_studies_that_agree_show_it() -> None:
    found = over_studies({str(k): foretold(snnl=FALLING, nc1=RISING) for k in range(8)})
    told = in_words(found)
    assert "Over 8 studies layers with a low SNNL gain more from mixing: mean rho −1.00" in told
    assert (
        "SNNL / chance is shown to predict the gain, and to go against the hypothesis NC1" in told
    )
    assert "Rho has the expected sign in each of the 8 for SNNL / chance, which shows" in told
    assert "by chance alone one quantity in 256 has" in told
    assert "must beat: mean rho +1.00 over 8 studies (95% interval +1.00 to +1.00)." in told
    assert "too few" not in told


def test_one_study_or_none_says_nothing_over_studies() -> None:
    nothing = foretold(layers=("input", "final"), snnl=[1, 2])
    assert "No study here relates" in in_words(over_studies({"a": nothing, "b": nothing}))
    one = over_studies({"a": nothing, "b": foretold(snnl=FALLING)})
    assert one[0].studies["a"] is None
    assert "Only one study here" in in_words(one)
