"""Tests of verdicts of studies with unequal seeds, because runs failed or are missing."""

from dataclasses import replace

from layermix.reporting.text import verdict_text, warning_texts
from made_summaries import summary_of


def accuracies(mean: float) -> list[float]:
    return [mean + 0.001 * (k % 3) for k in range(8)]


def test_variants_are_ranked_on_common_finished_seeds() -> None:
    easy_first = {0: 0.99, 1: 0.5, 2: 0.5}
    better = {seed: value + 0.005 for seed, value in easy_first.items()}
    found = summary_of({"none": easy_first, "final": {0: 0.98}, "input": better})
    assert (found.verdict.winner, found.verdict.rival) == ("input", "none")


def test_variant_with_failed_runs_is_not_the_winner() -> None:
    found = summary_of({"none": [0.8] * 3, "final": [0.9] * 3, "input": {0: 0.95}})
    assert found.verdict.winner == "input"
    failed = replace(found, failed={"input": [1, 2]})
    assert (failed.verdict.winner, failed.verdict.rival) == ("final", "none")
    assert "7 of 9 runs are done, and 2 failed or were stopped" in " ".join(verdict_text(failed))
    assert any("input at seed 1 and 2." in warning for warning in warning_texts(failed))


def test_note_on_the_least_corrected_p_covers_every_comparison() -> None:
    few = summary_of({"none": accuracies(0.8), "input": accuracies(0.9)})
    assert len(few.family) == 3
    assert not any("can be below" in note for note in warning_texts(few))
    many = {
        name: accuracies(0.9) for name in ("input", "block1", "block2", "block3", "x", "y", "final")
    }
    notes = warning_texts(summary_of({"none": accuracies(0.8), **many}))
    (note,) = [note for note in notes if note.startswith("With 8 seeds and 21 comparisons")]
    assert "below 0.164" in note
