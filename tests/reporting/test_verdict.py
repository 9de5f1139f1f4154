"""The answer in words, for every way a study can come out."""

import pytest

from layermix.experiments import RunResult
from layermix.reporting.verdict import judge

SIZES = {"train": 300, "val": 300, "test": 1000, "classes": 10, "seeds": 8}


def verdict(accuracy: dict[str, list[float]], val: dict[str, float] | None = None, **test: float):
    """Judge a study of as many seeds as the variant with the most; `test` sets other measures."""
    seeds = max(map(len, accuracy.values()))
    results = {
        name: {
            seed: RunResult(
                {"accuracy": value, "nll": 1 - value, "brier": 0.2, "ece": 0.1} | test,
                {"accuracy": (val or {}).get(name, value), "nll": 1.0},
            )
            for seed, value in enumerate(values)
        }
        for name, values in accuracy.items()
    }
    return judge("digits", "mlp", SIZES | {"seeds": seeds}, results)


def spread(mean: float) -> list[float]:
    return [mean + 0.001 * (k % 3) for k in range(8)]


def test_the_claim_holds_where_final_is_clearly_above_input() -> None:
    found = verdict({"none": spread(0.90), "input": spread(0.91), "final": spread(0.95)})
    assert (found.winner, found.claim) == ("final", "holds")
    assert "mixing at the final layer won: best on validation data, it has" in str(found)
    assert "+5.00 points (95% interval +5.00 to +5.00) against no mixing" in str(found)
    assert "beats mixing at the input holds here: final minus input is +4.00 points" in str(found)
    assert "exact p = 0.00781" in str(found)


def test_the_claim_fails_where_final_is_clearly_below_input() -> None:
    found = verdict({"input": spread(0.95), "final": spread(0.91)})
    assert found.claim == "fails"
    assert "fails here: the input is better" in str(found)


def test_the_claim_is_undecided_where_seeds_disagree() -> None:
    input_, final = [0.9, 0.95] * 4, [0.95, 0.9] * 4
    found = verdict({"none": spread(0.8), "input": input_, "final": final})
    assert found.claim == "undecided"


def test_three_seeds_decide_nothing_and_say_so() -> None:
    found = verdict({"none": [0.8] * 3, "input": [0.8] * 3, "final": [0.9] * 3})
    assert found.claim == "undecided"
    assert any("3 seeds are too few to tell: the exact test cannot give" in n for n in found.notes)


def test_one_seed_has_no_interval() -> None:
    found = verdict({"none": [0.8], "input": [0.8], "final": [0.9]})
    assert "(one seed, no interval)" in str(found)
    assert found.claim == "undecided"


def test_the_claim_is_not_tested_without_both_places() -> None:
    assert verdict({"none": spread(0.9), "final": spread(0.95)}).claim == "not tested"


def test_the_winner_is_chosen_on_validation_data() -> None:
    found = verdict({"none": spread(0.8), "block1": spread(0.9)}, val={"none": 0.99})
    assert found.winner == "none"
    assert "no mixing is best on validation data, but not on test data: 80.09% test" in str(found)


def test_no_mixing_is_compared_with_the_best_place_to_mix() -> None:
    runs = {"none": spread(0.95), "input": spread(0.80), "block1": spread(0.94), "final": []}
    found = verdict(runs)
    assert (
        "+1.00 points (95% interval +1.00 to +1.00) against mixing after block1, the best"
        in str(found)
    )


def test_a_place_that_is_as_good_as_no_mixing_leaves_no_winner() -> None:
    wobble = [0.95 + 0.02 * (-1) ** k for k in range(8)]
    runs = {"none": [0.95] * 8, "input": [0.80] * 8, "final": wobble}
    found = verdict(runs, val={"none": 0.99})
    assert found.winner == "none"
    assert "no winner is shown. Best on validation data is no mixing" in str(found)
    assert "won" not in str(found)


def test_no_mixing_alone_has_no_rival() -> None:
    found = verdict({"none": spread(0.9), "final": []})
    assert "no mixing is best on validation data, with 90.09% test accuracy." in str(found)


@pytest.mark.parametrize("seeds", [1, 2, 5])
def test_below_six_seeds_a_difference_is_not_put_down_to_noise(seeds: int) -> None:
    found = verdict({name: [0.9 + 0.01 * k] * seeds for k, name in enumerate(("input", "final"))})
    with_none = verdict({"none": [0.8] * seeds, "final": [0.9] * seeds})
    word = "1 seed is" if seeds == 1 else f"{seeds} seeds are"
    assert f"; {word} too few to tell." in str(found)  # of the claim
    assert f"against no mixing; {word} too few to tell." in str(with_none)
    assert "noise" not in str(found) + str(with_none)


@pytest.mark.parametrize("margin", [0.0, 0.0001])
def test_a_lead_that_noise_could_make_is_called_so(margin: float) -> None:
    wobble = [0.9 + margin + 0.02 * (-1) ** k for k in range(8)]
    found = verdict({"none": [0.9] * 8, "final": wobble}, val={"final": 0.99})
    assert "no winner is shown. Best on validation data is mixing at the final" in str(found)
    assert "a difference that noise alone could make" in str(found)


def test_a_winner_on_validation_data_that_loses_on_test_data_is_called_so() -> None:
    found = verdict({"none": spread(0.95), "block1": spread(0.9)}, val={"block1": 0.99})
    assert "mixing after block1 is best on validation data, but not on test data" in str(found)


@pytest.mark.parametrize("level", [0.9, 0.0])
def test_a_tie_on_every_seed_is_not_called_noise(level: float) -> None:
    found = verdict({name: [level] * 8 for name in ("none", "input", "final")}, val={"final": 0.99})
    assert "the same on every seed as no mixing" in str(found)
    assert "final and input have the same test accuracy on every seed" in str(found)
    assert "noise" not in str(found)
    assert found.claim == "undecided"


def test_above_twenty_seeds_p_is_not_called_exact() -> None:
    few, many = (
        verdict({"input": [0.9] * seeds, "final": [0.91 + 0.001 * k for k in range(seeds)]})
        for seeds in (20, 21)
    )
    assert "exact p = " in str(few)
    assert "exact" not in str(many)
    assert "p (100,000 random sign flips) = 2e-05" in str(many)


def test_an_unfinished_study_says_what_is_missing() -> None:
    found = verdict({"none": [0.8] * 8, "final": [0.9] * 2})
    assert found.sentences[0] == "This study is not finished: 10 of 16 runs are done."
    assert "So far, on digits with mlp" in found.sentences[1]
    assert "2 of 8 seeds" in found.sentences[1]
    assert "not finished; seeds done: none 8/8, final 2/8" in found.notes[0]


def test_a_lead_in_an_unfinished_study_is_provisional() -> None:
    runs = {"none": spread(0.80), "input": spread(0.85), "final": spread(0.95)}
    found = verdict({**runs, "random": []})
    assert "mixing at the final layer leads" in str(found)
    assert "beats mixing at the input holds so far" in str(found)
    assert "won" not in str(found)


@pytest.mark.parametrize(
    ("runs", "words"),
    [
        ({"none": [0.8], "input": [0.8], "final": []}, "not tested yet: final has no finished run"),
        ({"none": [0.8], "input": [], "final": []}, "final and input have no finished run"),
        (
            {"none": [0.8], "final": []},
            "it needs both, mixed plainly, and input is no variant of this study",
        ),
        (
            {"none": [0.8]},
            "it needs both, mixed plainly, and final and input are no variants of this study",
        ),
    ],
)
def test_a_claim_that_was_not_tested_says_why(runs: dict[str, list[float]], words: str) -> None:
    found = verdict(runs)
    assert found.claim == "not tested"
    assert words in found.sentences[-1]


def test_two_places_without_a_common_seed_are_not_compared() -> None:
    measures = {"accuracy": 0.8, "nll": 1, "brier": 0.2, "ece": 0.1}
    run = RunResult(measures, measures)
    found = judge("digits", "mlp", SIZES, {"input": {0: run}, "final": {1: run}})
    assert "not tested yet: the two share no finished seed" in str(found)


def test_runs_that_are_worse_than_guessing_are_named() -> None:
    accuracy = {"none": [0.1, 0.1], "input": [0.1, 0.1]}
    (note,) = [n for n in verdict(accuracy, nll=2.4).notes if "Worse than guessing" in n]
    assert "above ln(10) = 2.30" in note
    assert "in none-seed0, none-seed1, input-seed0 and input-seed1. They count as they" in note
    assert not any("Worse than" in n for n in verdict(accuracy, nll=2.3).notes)


def test_intervals_beyond_what_is_possible_are_explained() -> None:
    found = verdict({"none": [0.97, 1.0], "input": [0.5, 0.51], "final": [0.0, 0.04]})
    (note,) = [n for n in found.notes if "are cut at" in n]
    assert "accuracy (none and final) and NLL (none)" in note
    assert not any("are cut at" in n for n in verdict({"none": [0.5, 0.51]}).notes)


def test_variants_that_mix_at_the_same_place_are_told_of() -> None:
    runs = {"none": [0.8, 0.8], "block3": [0.9, 0.8], "final": [0.9, 0.8], "input": [0.9, 0.81]}
    twins = "block3 and final gave the same to the last digit on every seed: they mix at the same"
    (note,) = [n for n in verdict(runs).notes if "last digit" in n]
    assert note == f"{twins} place, and count twice in Holm's correction."
    runs |= {"logits": [0.9, 0.8]}
    (note,) = [n for n in verdict(runs).notes if "last digit" in n]
    assert "block3, final and logits gave" in note
    assert "count 3 times" in note
    alone = {name: runs[name] for name in ("block3", "final")}
    assert any(note == f"{twins} place." for note in verdict(alone).notes)


@pytest.mark.parametrize(
    ("final", "input_"),
    [("final", "mixup"), ("mixup@final", "input"), ("mixup@final:alpha=2", "mixup:alpha=2")],
)
def test_a_method_that_mixes_plainly_tests_the_claim(final: str, input_: str) -> None:
    found = verdict({input_: spread(0.90), final: spread(0.95), "cutmix": spread(0.99)})
    assert found.claim == "holds"
    assert f"{final} minus {input_} is +5.00 points" in str(found)
    assert any("final beats input was asked beforehand" in note for note in found.notes)


def test_of_several_pairs_the_places_own_names_test_the_claim() -> None:
    runs = {"mixup": spread(0.9), "mixup@final": spread(0.8), "input": spread(0.9)}
    assert "final minus input is" in str(verdict({**runs, "final": spread(0.95)}))


def test_of_several_methods_those_of_equal_settings_test_the_claim() -> None:
    names = ("mixup", "mixup:alpha=2", "mixup@final:alpha=2")
    found = verdict({name: spread(0.9) for name in names})
    assert "mixup@final:alpha=2 and mixup:alpha=2 have the same" in str(found)


@pytest.mark.parametrize("other", ["cutmix", "c-mixup", "mixup:prob=0.5", "mixup@block1"])
def test_other_ways_to_mix_do_not_test_the_claim(other: str) -> None:
    found = verdict({other: spread(0.9), "final": spread(0.95)})
    assert found.claim == "not tested"
    assert "mixed plainly, and input is no variant" in str(found)
