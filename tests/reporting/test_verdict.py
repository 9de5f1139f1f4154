"""Tests of the verdict of a study for every outcome."""

import pytest

from layermix.reporting import Summary
from layermix.reporting.statistics import Difference
from layermix.reporting.text import verdict_notes, verdict_text, warning_texts
from layermix.reporting.verdict import claim_pair
from made_summaries import summary_of as summary


def text(found: Summary) -> str:
    return " ".join(verdict_text(found))


def gap(found: Summary) -> Difference:
    assert found.verdict.gap is not None
    return found.verdict.gap


def accuracies(mean: float) -> list[float]:
    return [mean + 0.001 * (k % 3) for k in range(8)]


def test_claim_holds_if_final_is_above_input() -> None:
    found = summary(
        {"none": accuracies(0.90), "input": accuracies(0.91), "final": accuracies(0.95)}
    )
    assert (found.verdict.winner, found.verdict.claim.status) == ("final", "holds")
    assert (found.verdict.rival, gap(found).sign) == ("none", 1)
    assert "won" in text(found)
    assert "better on test data than no mixing, with 95.09% test accuracy, +5.00 points" in text(
        found
    )
    assert "final minus input is +4.00 points" in text(found)
    assert "exact p = 0.00781" in text(found)


def test_claim_fails_if_final_is_below_input() -> None:
    found = summary({"input": accuracies(0.95), "final": accuracies(0.91)})
    assert found.verdict.claim.status == "fails"
    assert "fails here" in text(found)


def test_claim_is_undecided_if_seeds_disagree() -> None:
    input_, final = [0.9, 0.95] * 4, [0.95, 0.9] * 4
    found = summary({"none": accuracies(0.8), "input": input_, "final": final})
    assert found.verdict.claim.status == "undecided"


@pytest.mark.parametrize("seeds", [1, 3, 5])
def test_claim_has_no_verdict_below_six_seeds(seeds: int) -> None:
    found = summary({"none": [0.8] * seeds, "input": [0.8] * seeds, "final": [0.9] * seeds})
    assert found.verdict.claim.status == "too few seeds"
    assert {gap.outcome for gap in found.family} == {"too few seeds"}
    assert any("too few to tell" in warning for warning in warning_texts(found))
    assert not warning_texts(summary({"none": [0.8] * 8, "final": [0.9] * 8}))


def test_one_seed_has_no_interval() -> None:
    found = summary({"none": [0.8], "input": [0.8], "final": [0.9]})
    assert "(one seed, no interval)" in text(found)
    assert found.verdict.claim.status == "too few seeds"


def test_winner_is_selected_on_validation_data() -> None:
    found = summary({"none": accuracies(0.8), "block1": accuracies(0.9)}, val={"none": 0.99})
    assert (found.verdict.winner, found.verdict.rival) == ("none", "block1")
    assert gap(found).sign == -1
    assert "but worse on test data than mixing after block1" in text(found)


def test_all_comparisons_with_no_mixing_are_one_family_and_the_claim_is_none_of_them() -> None:
    found = summary({"none": accuracies(0.8), "input": accuracies(0.85), "final": accuracies(0.9)})
    assert found.verdict.claim.gap is not None
    assert (found.verdict.claim.gap.p, found.verdict.claim.gap.p_holm) == (2 / 256, None)
    assert len(found.family) == 6
    assert found.difference("final", "accuracy") == gap(found)
    assert gap(found).p_holm == 6 * 2 / 256  # Brier scores are equal, so that p is 1


def test_no_mixing_is_compared_with_the_best_mix_point() -> None:
    runs = {
        "none": accuracies(0.95),
        "input": accuracies(0.80),
        "block1": accuracies(0.94),
        "final": [],
    }
    found = summary(runs)
    assert found.verdict.rival == "block1"
    assert gap(found).estimate.mean == pytest.approx(0.01)


def test_no_winner_is_reported_if_mixing_equals_no_mixing() -> None:
    noisy = [0.95 + 0.02 * (-1) ** k for k in range(8)]
    found = summary({"none": [0.95] * 8, "input": [0.80] * 8, "final": noisy}, val={"none": 0.99})
    assert (found.verdict.winner, gap(found).sign) == ("none", 0)
    assert "no winner is shown" in text(found)
    assert "won" not in text(found)
    assert "undecided: a difference below" in text(found)


def test_single_variant_has_no_rival() -> None:
    found = summary({"none": accuracies(0.9), "final": []})
    assert (found.verdict.rival, found.verdict.gap) == (None, None)
    assert "90.09% test accuracy." in text(found)


@pytest.mark.parametrize("seeds", [1, 2, 5])
def test_difference_below_six_seeds_is_too_few_to_tell(seeds: int) -> None:
    found = summary({name: [0.9 + 0.01 * k] * seeds for k, name in enumerate(("input", "final"))})
    with_none = summary({"none": [0.8] * seeds, "final": [0.9] * seeds})
    remark = "1 seed is too few" if seeds == 1 else f"{seeds} seeds are too few"
    assert remark in verdict_text(found)[-1]
    assert remark in text(with_none)
    assert "undecided" not in text(found) + text(with_none)


@pytest.mark.parametrize("level", [0.9, 0.0])
def test_tie_on_every_seed_is_practically_equal(level: float) -> None:
    found = summary({name: [level] * 8 for name in ("none", "input", "final")}, val={"final": 0.99})
    assert text(found).count("on every seed") == 2
    assert found.verdict.claim.status == "practically equal"


def test_p_above_twenty_seeds_uses_random_sign_flips() -> None:
    few, many = (
        summary({"input": [0.9] * seeds, "final": [0.91 + 0.001 * k for k in range(seeds)]})
        for seeds in (20, 21)
    )
    assert "exact p < 0.001" in text(few)
    assert "exact" not in text(many)
    assert "p (100,000 random sign flips) < 0.001" in text(many)


def test_unfinished_study_lists_missing_runs() -> None:
    found = summary({"none": [0.8] * 8, "final": [0.9] * 2})
    first, second, _ = verdict_text(found)
    assert "10 of 16 runs" in first
    assert second.startswith("So far, on digits with mlp")
    assert "2 of 8 seeds" in second
    assert "none 8/8, final 2/8" in verdict_notes(found)[0]


def test_verdict_of_an_unfinished_study_is_provisional() -> None:
    runs = {
        "none": accuracies(0.80),
        "input": accuracies(0.85),
        "final": accuracies(0.95),
        "random": [],
    }
    found = text(summary(runs))
    assert "leads" in found
    assert "holds so far" in found
    assert "won" not in found


@pytest.mark.parametrize(
    ("runs", "absent", "waiting"),
    [
        ({"none": [0.8], "input": [0.8], "final": []}, [], ["final"]),
        ({"none": [0.8], "input": [], "final": []}, [], ["final", "input"]),
        ({"none": [0.8], "final": []}, ["input"], []),
        ({"none": [0.8]}, ["final", "input"], []),
    ],
)
def test_untested_claim_has_a_reason(runs, absent, waiting) -> None:
    found = summary(runs)
    claim = found.verdict.claim
    assert (claim.status, claim.absent, claim.waiting) == ("not tested", absent, waiting)
    assert "not tested" in verdict_text(found)[-1]
    assert all(name in verdict_text(found)[-1] for name in [*absent, *waiting])


def test_variants_without_a_common_seed_are_not_compared() -> None:
    found = summary({"input": {0: 0.8}, "final": {1: 0.8}})
    assert (found.verdict.claim.status, found.verdict.claim.gap) == ("not tested", None)
    assert "share no finished seed" in text(found)


def test_runs_with_nll_above_chance_have_a_warning() -> None:
    accuracy = {"none": [0.1, 0.1], "input": [0.1, 0.1]}
    (note,) = [n for n in warning_texts(summary(accuracy, nll=2.4)) if "ln(10) = 2.30" in n]
    assert "none-seed0, none-seed1, input-seed0 and input-seed1" in note
    assert not any("ln(10)" in n for n in warning_texts(summary(accuracy, nll=2.3)))
    assert any(
        "none and input is not above that of guessing" in n
        for n in warning_texts(summary(accuracy))
    )


def test_clipped_intervals_have_a_note() -> None:
    found = summary({"none": [0.97, 1.0], "input": [0.5, 0.51], "final": [0.0, 0.04]})
    (note,) = [n for n in verdict_notes(found) if "clipped" in n]
    assert "accuracy (none and final), NLL (none)" in note
    assert not any("clipped" in n for n in verdict_notes(summary({"none": [0.5, 0.51]})))


def test_variants_with_equal_results_have_a_note() -> None:
    runs = {"none": [0.8, 0.8], "block3": [0.9, 0.8], "final": [0.9, 0.8], "input": [0.9, 0.81]}
    (note,) = [n for n in verdict_notes(summary(runs)) if "equal results" in n]
    assert note.startswith("Block3 and final")
    runs |= {"logits": [0.9, 0.8]}
    (note,) = [n for n in verdict_notes(summary(runs)) if "equal results" in n]
    assert note.startswith("Block3, final and logits")
    alone = summary({name: runs[name] for name in ("block3", "final")})
    assert any("equal results" in n and "correction" not in n for n in verdict_notes(alone))


@pytest.mark.parametrize(
    ("variants", "pair"),
    [
        (("mixup", "final", "cutmix"), ("final", "mixup")),
        (("input", "mixup@final"), ("mixup@final", "input")),
        (("mixup", "mixup@final", "input", "final"), ("final", "input")),
        (
            ("mixup", "mixup:alpha=2", "mixup@final:alpha=2"),
            ("mixup@final:alpha=2", "mixup:alpha=2"),
        ),
        (("cutmix", "final"), None),
        (("c-mixup", "final"), None),
        (("mixup:prob=0.5", "final"), None),
        (("mixup@block1", "final"), None),
    ],
)
def test_claim_compares_linear_mixing_at_final_and_input(variants, pair) -> None:
    assert claim_pair(variants) == pair
