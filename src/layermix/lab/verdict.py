"""The answer in words: which place to mix won, by how much, and does *final beats input* hold?

The winner is chosen on validation data and judged on test data. The claim is one question asked
beforehand, so its p-value is not corrected: it holds (or fails) where the 95% interval of the
paired test difference lies above (or below) zero and the exact test gives p < 0.05.
"""

from dataclasses import dataclass
from typing import Literal

from layermix.lab.stats import Difference, Estimate, differences, least_p

Status = Literal["holds", "fails", "undecided", "not tested"]
Accuracy = dict[str, dict[int, float]]
_LEVEL = 0.05


@dataclass(frozen=True)
class Verdict:
    """What a study answers.

    Attributes
    ----------
    winner
        The variant that is best on validation data.
    claim
        Whether final beats input here: ``"holds"``, ``"fails"``, ``"undecided"``, or
        ``"not tested"`` when one of the two was not trained.
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


def judge(
    data: str,
    net: str,
    sizes: dict[str, int],
    val: dict[str, dict[str, Estimate]],
    accuracy: Accuracy,
) -> Verdict:
    """Answer a study's question.

    Parameters
    ----------
    data, net
        Names of the data set and the net.
    sizes
        Number of images and seeds.
    val
        For each variant its measures on validation data.
    accuracy
        For each variant its test accuracy by seed.
    """
    winner = max(val, key=lambda name: (val[name]["accuracy"].mean, -val[name]["nll"].mean))
    claim, about_claim = _claim(accuracy)
    seeds = len(accuracy[winner])
    setting = f"On {data} with {net}, {sizes['train']:,} training images and {_seeds(seeds)}"
    return Verdict(
        winner=winner,
        claim=claim,
        sentences=[f"{setting}, {_win(winner, accuracy)}", about_claim],
        notes=_notes(sizes, accuracy),
    )


def place(variant: str) -> str:
    """Return what a variant does, in words."""
    words = {
        "none": "no mixing",
        "input": "mixing at the input",
        "final": "mixing at the final layer",
        "logits": "mixing the logits",
        "random": "mixing at a place drawn anew each step",
    }
    return words.get(variant, f"mixing after {variant}")


def points(share: float) -> str:
    """Return a difference of accuracies in percentage points, with its sign."""
    return f"{100 * share:+.2f}".replace("-", "−")


def point_interval(found: Estimate) -> str:
    """Return a difference in points with its interval."""
    if found.low is None or found.high is None:
        return f"{points(found.mean)} points (one seed, no interval)"
    low, high = points(found.low), points(found.high)
    return f"{points(found.mean)} points (95% interval {low} to {high})"


def _win(winner: str, accuracy: Accuracy) -> str:
    values = list(accuracy[winner].values())
    found = f"{sum(values) / len(values):.2%} test accuracy"
    rival = "none" if winner != "none" else "input"
    gap = _difference(accuracy, winner, rival)
    if gap is None:
        return f"{place(winner)} is best on validation data, with {found}."
    found = f"{found}, {point_interval(gap.estimate)} against {place(rival)}"
    return {
        "holds": f"{place(winner)} won: best on validation data, it has {found}.",
        "fails": f"{place(winner)} is best on validation data, but not on test data: {found}.",
        "undecided": (
            f"no winner is shown. Best on validation data is {place(winner)}, with {found}, a "
            "difference that noise alone could make."
        ),
    }[_status(gap)]


def _claim(accuracy: Accuracy) -> tuple[Status, str]:
    gap = _difference(accuracy, "final", "input")
    if gap is None:
        return "not tested", "The claim that final beats input was not tested: it needs both."
    status = _status(gap)
    verb = {
        "holds": "holds here",
        "fails": "fails here: the input is better",
        "undecided": "is undecided here",
    }[status]
    return status, (
        f"The claim that mixing at the final layer beats mixing at the input {verb}: final minus "
        f"input is {point_interval(gap.estimate)}, exact p = {gap.p:.3g}."
    )


def _difference(accuracy: Accuracy, variant: str, baseline: str) -> Difference | None:
    if variant not in accuracy or baseline not in accuracy:
        return None
    pair = {name: accuracy[name] for name in (variant, baseline)}
    return next(iter(differences(pair, baseline)), None)


def _status(gap: Difference) -> Literal["holds", "fails", "undecided"]:
    low, high = gap.estimate.low, gap.estimate.high
    if gap.p < _LEVEL and low is not None and high is not None:
        if low > 0:
            return "holds"
        if high < 0:
            return "fails"
    return "undecided"


def _notes(sizes: dict[str, int], accuracy: Accuracy) -> list[str]:
    counts = {name: len(values) for name, values in accuracy.items()}
    least, compared = min(counts.values()), len(accuracy) - 1
    notes = [
        "Intervals are 95% Student-t over seeds. They cover initialisation, data order, "
        "augmentation and mixing, but not the choice of training and test images, which is the "
        "same for every run.",
        f"One test image is {points(1 / sizes['test'])[1:]} points of accuracy.",
    ]
    if least_p(least) >= _LEVEL:
        notes.append(
            f"With {_seeds(least)} the exact test cannot give less than p = {least_p(least):.3g}, "
            "so nothing can be shown at the 0.05 level; it takes 6 seeds or more."
        )
    elif compared * least_p(least) >= _LEVEL:
        notes.append(
            f"With {_seeds(least)} and {compared} comparisons no corrected p-value can fall below "
            f"{compared * least_p(least):.3g}; more seeds would help."
        )
    if least < sizes["seeds"]:
        missing = ", ".join(f"{n} {c}/{sizes['seeds']}" for n, c in counts.items())
        notes.append(f"The study is not finished; seeds done: {missing}.")
    return notes


def _seeds(count: int) -> str:
    return f"{count} seed{'s' * (count != 1)}"
