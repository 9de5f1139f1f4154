"""The answer in words: which place to mix won, by how much, and does *final beats input* hold?

The winner is chosen on validation data and judged on test data. The claim is one question asked
beforehand, so its p-value is not corrected: it holds (or fails) where the 95% interval of the
paired test difference lies above (or below) zero and the sign-flip test gives p < 0.05.
"""

from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from layermix.lab.answer.notes import Results, notes, runs_done
from layermix.lab.answer.stats import LEVEL, Difference, Estimate, differences
from layermix.lab.answer.words import interval, listed, p_name, percentage_points, place, seeds_word

Status = Literal["holds", "fails", "undecided", "not tested"]
Accuracy = dict[str, dict[int, float]]


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
    winner = max((name for name in results if results[name]), key=lambda n: _merit(results, n))
    accuracy = accuracy_by_seed(results)
    setting = (
        f"{'On' if finished else 'So far, on'} {data} with {net}, {sizes['train']:,} training "
        f"images and {seeds_word(len(results[winner]), sizes['seeds'])}"
    )
    first = [] if finished else [f"This study is not finished: {done} of {planned} runs are done."]
    claim, about_claim = _claim(accuracy, list(results), finished)
    return Verdict(
        winner=winner,
        claim=claim,
        sentences=[*first, f"{setting}, {_win(winner, accuracy, finished)}", about_claim],
        notes=notes(sizes, results),
    )


def accuracy_by_seed(results: Results) -> Accuracy:
    """Return the test accuracy of every finished run: by variant, then by seed."""
    return {
        name: {seed: run["test"]["accuracy"] for seed, run in runs.items()}
        for name, runs in results.items()
        if runs
    }


def point_interval(found: Estimate) -> str:
    """Return a difference in percentage points with its interval."""
    mean = f"{percentage_points(found.mean)} points"
    if found.low is None:
        return f"{mean} (one seed, no interval)"
    return f"{mean} (95% interval {interval(found, percentage_points)})"


def _merit(results: Results, name: str) -> tuple[float, float]:
    val = [run["val"] for run in results[name].values()]
    return fmean(run["accuracy"] for run in val), -fmean(run["nll"] for run in val)


def _win(winner: str, accuracy: Accuracy, finished: bool) -> str:
    found = f"{fmean(accuracy[winner].values()):.2%} test accuracy"
    rival = "none" if winner != "none" else "input"
    gap = _difference(accuracy, winner, rival)
    if gap is None:
        return f"{place(winner)} is best on validation data, with {found}."
    if _same(gap):
        return (
            f"no winner is shown. Best on validation data is {place(winner)}, with {found}, the "
            f"same as {place(rival)} on every seed."
        )
    found = f"{found}, {point_interval(gap.estimate)} against {place(rival)}"
    return {
        "holds": (
            f"{place(winner)} {'won' if finished else 'leads'}: best on validation data, it has "
            f"{found}."
        ),
        "fails": f"{place(winner)} is best on validation data, but not on test data: {found}.",
        "undecided": (
            f"no winner is shown. Best on validation data is {place(winner)}, with {found}, a "
            "difference that noise alone could make."
        ),
    }[_status(gap)]


def _claim(accuracy: Accuracy, planned: list[str], finished: bool) -> tuple[Status, str]:
    gap = _difference(accuracy, "final", "input")
    if gap is None:
        return "not tested", f"The claim that final beats input {_untested(accuracy, planned)}."
    status, here = _status(gap), "here" if finished else "so far"
    verb = {
        "holds": f"holds {here}",
        "fails": f"fails {here}: the input is better",
        "undecided": f"is undecided {here}",
    }[status]
    claim = f"The claim that mixing at the final layer beats mixing at the input {verb}:"
    if _same(gap):
        return status, f"{claim} final and input have the same test accuracy on every seed."
    return status, (
        f"{claim} final minus input is {point_interval(gap.estimate)}, {p_name(gap.estimate.n)} = "
        f"{gap.p:.3g}."
    )


def _untested(accuracy: Accuracy, planned: list[str]) -> str:
    """Return why there is no difference between final and input."""
    if absent := [name for name in ("final", "input") if name not in planned]:
        return f"was not tested: it needs both, mixed plainly, and {_are(absent)} of this study"
    if waiting := [name for name in ("final", "input") if name not in accuracy]:
        return f"is not tested yet: {_have(waiting)} no finished run"
    return "is not tested yet: the two share no finished seed"


def _are(names: list[str]) -> str:
    if len(names) == 1:
        return f"{names[0]} is no variant"
    return f"{listed(names)} are no variants"


def _have(names: list[str]) -> str:
    return f"{listed(names)} {'has' if len(names) == 1 else 'have'}"


def _difference(accuracy: Accuracy, variant: str, baseline: str) -> Difference | None:
    if variant not in accuracy or baseline not in accuracy:
        return None
    pair = {name: accuracy[name] for name in (variant, baseline)}
    return next(iter(differences(pair, baseline)), None)


def _same(gap: Difference) -> bool:
    return not any(gap.estimate.values)


def _status(gap: Difference) -> Literal["holds", "fails", "undecided"]:
    low, high = gap.estimate.low, gap.estimate.high
    if gap.p < LEVEL and low is not None and high is not None:
        if low > 0:
            return "holds"
        if high < 0:
            return "fails"
    return "undecided"
