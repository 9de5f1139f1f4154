"""The claim *final beats input*: which two variants of a study test it, and what they show.

The claim is one question asked beforehand, so its p-value is not corrected. It holds (or fails)
where the 95% interval of the paired test difference is above (or below) zero and the sign-flip
test gives p < 0.05. A method that mixes plainly at one of the two places counts as that place:
``mixup`` as ``input``, ``mixup@final`` as ``final``.
"""

from collections.abc import Sequence
from itertools import product
from typing import Literal, NamedTuple

from layermix.mixing import Linear, Permutation
from layermix.mixing.methods import find_method, is_method
from layermix.reporting.formatting import interval, listed, p_name, percentage_points, seeds_word
from layermix.reporting.statistics.stats import LEVEL, Difference, Estimate, differences, least_p

Status = Literal["holds", "fails", "undecided", "not tested"]
Accuracy = dict[str, dict[int, float]]


class Pair(NamedTuple):
    """The variants that mix plainly at the final layer and at the input."""

    final: str
    input: str


def claim_pair(variants: Sequence[str]) -> Pair | None:
    """Return the two variants that test the claim; None if the study has no such two.

    The places' own names come first; then methods of equal settings; then the first of each.
    """
    final, input_ = _plain_at("final", variants), _plain_at("input", variants)
    pairs = [Pair(*names) for names in product(final, input_)]
    return min(pairs, key=_rank, default=None)


def judge_claim(accuracy: Accuracy, planned: Sequence[str], finished: bool) -> tuple[Status, str]:
    """Return whether the claim holds, and the sentence that says so.

    Parameters
    ----------
    accuracy
        Test accuracy of every finished run: by variant, then by seed.
    planned
        All variants of the study.
    finished
        True if all runs are done.
    """
    pair = claim_pair(planned)
    gap = difference(accuracy, *pair) if pair else None
    if pair is None or gap is None:
        return "not tested", f"The claim that final beats input {_untested(accuracy, planned)}."
    status, here = status_of(gap), "here" if finished else "so far"
    claim = "The claim that mixing at the final layer beats mixing at the input"
    verb = {
        "holds": f"holds {here}",
        "fails": f"fails {here}: the input is better",
        "undecided": f"is undecided {here}",
    }[status]
    if is_same(gap):
        return status, (
            f"{claim} {verb}: {pair.final} and {pair.input} have the same test accuracy on every "
            "seed."
        )
    few = f"; {too_few(gap)}" if is_too_few(gap) else ""
    return status, (
        f"{claim} {verb}: {pair.final} minus {pair.input} is {point_interval(gap.estimate)}, "
        f"{p_name(gap.estimate.n)} = {gap.p:.3g}{few}."
    )


def difference(accuracy: Accuracy, variant: str, baseline: str) -> Difference | None:
    """Return the paired difference of two variants; None if they share no finished seed."""
    if variant not in accuracy or baseline not in accuracy:
        return None
    pair = {name: accuracy[name] for name in (variant, baseline)}
    return next(iter(differences(pair, baseline)), None)


def status_of(gap: Difference) -> Literal["holds", "fails", "undecided"]:
    """Return whether a difference is shown to be above zero, below, or neither."""
    low, high = gap.estimate.low, gap.estimate.high
    if gap.p < LEVEL and low is not None and high is not None:
        if low > 0:
            return "holds"
        if high < 0:
            return "fails"
    return "undecided"


def is_same(gap: Difference) -> bool:
    """Return True if two variants have the same accuracy on every seed."""
    return not any(gap.estimate.values)


def is_too_few(gap: Difference) -> bool:
    """Return True if so few seeds cannot give a p-value below the level."""
    return least_p(gap.estimate.n) >= LEVEL


def too_few(gap: Difference) -> str:
    """Return the remark on a difference over too few seeds."""
    n = gap.estimate.n
    return f"{seeds_word(n)} {'is' if n == 1 else 'are'} too few to tell"


def point_interval(found: Estimate) -> str:
    """Return a difference in percentage points with its interval."""
    mean = f"{percentage_points(found.mean)} points"
    if found.low is None:
        return f"{mean} (one seed, no interval)"
    return f"{mean} (95% interval {interval(found, percentage_points)})"


def _plain_at(place: str, variants: Sequence[str]) -> list[str]:
    """Return the variants that mix pairs linearly at a place, at every step."""
    own = [name for name in variants if name == place]
    return own + [name for name in variants if is_method(name) and _is_plain(name, place)]


def _is_plain(name: str, place: str) -> bool:
    found = find_method(name)
    plain = (found.at, found.blend, found.partner) == (place, Linear(), Permutation())
    return plain and found.options.get("prob", 1.0) == 1.0


def _rank(pair: Pair) -> tuple[bool, bool]:
    """Return the order of preference of a pair: smaller is better."""
    methods = [dict(find_method(name).options) for name in pair if is_method(name)]
    return len(methods) > 0, len(methods) == 2 and methods[0] != methods[1]


def _untested(accuracy: Accuracy, planned: Sequence[str]) -> str:
    """Return why there is no difference between final and input."""
    pair = claim_pair(planned)
    if pair is None:
        absent = [name for name in ("final", "input") if not _plain_at(name, planned)]
        return f"was not tested: it needs both, mixed plainly, and {_are(absent)} of this study"
    if waiting := [name for name in pair if name not in accuracy]:
        have = "has" if len(waiting) == 1 else "have"
        return f"is not tested yet: {listed(waiting)} {have} no finished run"
    return "is not tested yet: the two share no finished seed"


def _are(names: list[str]) -> str:
    if len(names) == 1:
        return f"{names[0]} is no variant"
    return f"{listed(names)} are no variants"
