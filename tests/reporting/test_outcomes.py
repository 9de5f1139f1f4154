"""Tests of the four verdicts, of planned looks, and of clean norm statistics in the text."""

from dataclasses import replace

import pytest

from layermix.reporting import Summary
from layermix.reporting.statistics import estimate
from layermix.reporting.text import verdict_text, warning_texts
from made_summaries import summary_of as summary


def text(found: Summary) -> str:
    return " ".join(verdict_text(found))


def outcome(found: Summary) -> str:
    assert found.verdict.gap is not None
    return found.verdict.gap.outcome


def accuracies(mean: float) -> list[float]:
    return [mean + 0.001 * (k % 3) for k in range(8)]


def with_metrics(metrics: dict[str, tuple[float, ...]]) -> Summary:
    """Return a summary of 8 seeds with these means of accuracy, NLL, Brier score and ECE."""
    found = summary({name: accuracies(values[0]) for name, values in metrics.items()})
    for row in found.variants:
        for name, value in zip(("nll", "brier", "ece"), metrics[row.name][1:], strict=True):
            row.test[name] = estimate([value + 0.001 * (k % 2) for k in range(8)])
    return found


def test_winner_that_is_worse_in_nll_is_not_only_better() -> None:
    metrics = {"none": (0.90, 0.3, 0.2, 0.02), "final": (0.95, 0.4, 0.1, 0.05)}
    found = with_metrics(metrics)
    assert (found.verdict.winner, outcome(found)) == ("final", "better")
    assert list(found.verdict.drawbacks) == ["nll", "ece"]
    (sentence,) = [s for s in text(found).split(". ") if "won" in s]
    assert "but with a higher mean NLL by +0.1000 (95% interval" in sentence
    assert "and ECE by +0.0300" in sentence
    assert "Brier" not in sentence


def test_claim_that_holds_names_the_metrics_that_are_worse() -> None:
    metrics = {"input": (0.90, 0.3, 0.2, 0.02), "final": (0.95, 0.4, 0.1, 0.02)}
    found = with_metrics(metrics)
    assert (found.verdict.claim.status, list(found.verdict.claim.drawbacks)) == ("holds", ["nll"])
    assert "but with a higher mean NLL by +0.1000" in text(found).partition("The claim")[2]


@pytest.mark.parametrize(
    ("apart", "spread", "expected"),
    [
        (0.0, 0.002, "practically equal"),
        (0.004, 0.0005, "practically equal"),
        (0.0, 0.02, "undecided"),
    ],
)
def test_equality_needs_the_90_percent_interval_within_the_margin(apart, spread, expected) -> None:
    signs = [1, -1] * 5
    runs = {"none": [0.9] * 10, "final": [0.9 + apart + spread * sign for sign in signs]}
    found = summary(runs)
    assert outcome(found) == expected
    if expected == "practically equal":
        assert "are practically equal" in text(found)


def test_planned_looks_have_smaller_levels() -> None:
    runs = {"none": accuracies(0.80), "input": accuracies(0.85), "final": accuracies(0.95)}
    seven = {name: values[:7] for name, values in runs.items()}
    early = summary(seven, looks=(7, 14))
    assert early.look.number == 1
    assert early.verdict.claim.status == "undecided"  # p is 1/64, above the level of 0.003
    assert any("at the level 0.00305 of this look" in warning for warning in warning_texts(early))
    assert "look 1 of 2, with level 0.00305 instead of 0.05" in text(early)
    assert (
        summary({name: values[:7] for name, values in runs.items()}).verdict.claim.status == "holds"
    )


def test_added_seeds_have_a_warning_unless_the_look_was_planned() -> None:
    runs = {"none": accuracies(0.8), "final": accuracies(0.9)}
    stages = [{"seeds": list(range(4)), "variants": list(runs), "runs": 8}]
    (warning,) = warning_texts(replace(summary(runs), grown=stages))
    assert "Seeds were added to a study of 4 seeds, without a planned look" in warning
    planned = replace(summary(runs, looks=(4, 8)), grown=stages)
    assert not any("Seeds were added" in text for text in warning_texts(planned))
    beyond = replace(summary(runs, looks=(2, 4)), grown=stages)
    assert any("Seeds were added" in text for text in warning_texts(beyond))
    only_variants = [{"seeds": list(range(8)), "variants": ["none"], "runs": 8}]
    assert warning_texts(replace(summary(runs), grown=only_variants)) == []


def test_clean_norm_statistics_are_told_with_the_claim() -> None:
    trained = {"input": [0.90] * 8, "final": accuracies(0.95)}
    clean = {"input": accuracies(0.95), "final": accuracies(0.95)}
    found = summary(trained, clean=clean)
    assert "with norm statistics of unmixed examples it is +0.00 points" in text(found)
    assert "practically equal" in text(found)
    assert found.verdict.claim.explained["accuracy"].mean == pytest.approx(0.05 + 0.0009, abs=3e-4)
