"""The answer in words: which place to mix won, by how much, and does *final beats input* hold?

The winner is chosen on validation data and judged on test data. A variant that mixes is compared
with no mixing; no mixing is compared with the best variant that mixes, chosen in the same way.
"""

from dataclasses import dataclass
from statistics import fmean

from layermix.reporting.claim import (
    Accuracy,
    Status,
    difference,
    is_same,
    is_too_few,
    judge_claim,
    point_interval,
    status_of,
    too_few,
)
from layermix.reporting.formatting import place, seeds_word
from layermix.reporting.notes import Results, notes, runs_done


@dataclass(frozen=True)
class Verdict:
    """What a study answers.

    Attributes
    ----------
    winner
        The variant that is best on validation data.
    claim
        Whether final beats input here: ``"holds"``, ``"fails"``, ``"undecided"``, or
        ``"not tested"`` where one of the two was not trained, or not yet.
    sentences
        The answer, to be read in this order.
    notes
        What one must know to read it rightly.
    """

    winner: str
    claim: Status
    sentences: list[str]
    notes: list[str]

    def __str__(self) -> str:
        return " ".join(self.sentences)


def judge(data: str, net: str, sizes: dict[str, int], results: Results) -> Verdict:
    """Answer a study's question.

    Parameters
    ----------
    data, net
        Names of the data set and the net.
    sizes
        Number of images, classes and planned seeds.
    results
        For each planned variant what its finished seeds gave; one run at least is finished.
    """
    done, planned = runs_done(results), len(results) * sizes["seeds"]
    finished = done == planned
    winner = _best(results, list(results))
    assert winner is not None
    mixing = [name for name in results if name != "none"]
    rival = "none" if winner != "none" else _best(results, mixing)
    accuracy = accuracy_by_seed(results)
    setting = (
        f"{'On' if finished else 'So far, on'} {data} with {net}, {sizes['train']:,} training "
        f"images and {seeds_word(len(results[winner]), sizes['seeds'])}"
    )
    first = [] if finished else [f"This study is not finished: {done} of {planned} runs are done."]
    claim, about_claim = judge_claim(accuracy, list(results), finished)
    return Verdict(
        winner=winner,
        claim=claim,
        sentences=[*first, f"{setting}, {_win(winner, rival, accuracy, finished)}", about_claim],
        notes=notes(sizes, results),
    )


def accuracy_by_seed(results: Results) -> Accuracy:
    """Return the test accuracy of every finished run: by variant, then by seed."""
    return {
        name: {seed: run.test["accuracy"] for seed, run in runs.items()}
        for name, runs in results.items()
        if runs
    }


def _best(results: Results, names: list[str]) -> str | None:
    """Return the best of some variants on validation data; None if none has a finished run."""
    begun = [name for name in names if results[name]]
    return max(begun, key=lambda name: _merit(results, name), default=None)


def _merit(results: Results, name: str) -> tuple[float, float]:
    val = [run.val for run in results[name].values()]
    return fmean(run["accuracy"] for run in val), -fmean(run["nll"] for run in val)


def _win(winner: str, rival: str | None, accuracy: Accuracy, finished: bool) -> str:
    """Return how the winner compares with its rival on test data."""
    found = f"{fmean(accuracy[winner].values()):.2%} test accuracy"
    gap = difference(accuracy, winner, rival) if rival else None
    if rival is None or gap is None:
        return f"{place(winner)} is best on validation data, with {found}."
    other = place(rival) if rival == "none" else f"{place(rival)}, the best variant that mixes"
    best = f"no winner is shown. Best on validation data is {place(winner)}, with {found}"
    against = f"{point_interval(gap.estimate)} against {other}"
    if is_same(gap):
        return f"{best}, the same on every seed as {other}."
    doubt = too_few(gap) if is_too_few(gap) else "a difference that noise alone could make"
    return {
        "holds": (
            f"{place(winner)} {'won' if finished else 'leads'}: best on validation data, it has "
            f"{found}, {against}."
        ),
        "fails": (
            f"{place(winner)} is best on validation data, but not on test data: {found}, {against}."
        ),
        "undecided": f"{best}, {against}; {doubt}.",
    }[status_of(gap)]
