"""The answer in words, for every way a study can come out."""

import pytest

from layermix.lab.stats import estimate
from layermix.lab.verdict import judge

SIZES = {"train": 300, "val": 300, "test": 1000, "classes": 10, "seeds": 8}


def verdict(accuracy: dict[str, list[float]], val: dict[str, float] | None = None):
    seeds = {name: dict(enumerate(values)) for name, values in accuracy.items()}
    means = {name: estimate(values).mean for name, values in accuracy.items()} | (val or {})
    measured = {n: {"accuracy": estimate([means[n]]), "nll": estimate([1.0])} for n in accuracy}
    return judge("digits", "mlp", SIZES, measured, seeds)


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
    assert any("3 seeds the exact test cannot give less than p = 0.25" in n for n in found.notes)


def test_one_seed_has_no_interval() -> None:
    found = verdict({"none": [0.8], "input": [0.8], "final": [0.9]})
    assert "(one seed, no interval)" in str(found)
    assert found.claim == "undecided"


def test_the_claim_is_not_tested_without_both_places() -> None:
    assert verdict({"none": spread(0.9), "final": spread(0.95)}).claim == "not tested"


def test_the_winner_is_chosen_on_validation_data() -> None:
    found = verdict({"none": spread(0.8), "block1": spread(0.9)}, val={"none": 0.99})
    assert found.winner == "none"
    assert "no mixing is best on validation data, with 80.09% test accuracy" in str(found)


@pytest.mark.parametrize("margin", [0.0, 0.0001])
def test_a_lead_that_noise_could_make_is_called_so(margin: float) -> None:
    wobble = [0.9 + margin + 0.02 * (-1) ** k for k in range(8)]
    found = verdict({"none": [0.9] * 8, "final": wobble}, val={"final": 0.99})
    assert "no winner is shown. Best on validation data is mixing at the final" in str(found)
    assert "a difference that noise alone could make" in str(found)


def test_a_winner_on_validation_data_that_loses_on_test_data_is_called_so() -> None:
    found = verdict({"none": spread(0.95), "block1": spread(0.9)}, val={"block1": 0.99})
    assert "mixing after block1 is best on validation data, but not on test data" in str(found)


def test_an_unfinished_study_says_what_is_missing() -> None:
    found = verdict({"none": [0.8] * 8, "final": [0.9] * 2})
    assert any("not finished; seeds done: none 8/8, final 2/8" in note for note in found.notes)
