"""The verdict of a study: the best variant, and whether *final beats input* holds.

The winner is chosen on validation data. On test data, it is compared with a rival: a winner that
mixes with no mixing, or no mixing with the best variant that mixes (also on validation data).
Validation accuracies are means over the seeds that all candidates have finished. Variants with
failed runs are not candidates, because the seeds that do not fail are often the easy ones.

**Final beats input* is a single claim, chosen beforehand, so that its p-value is not corrected. It
holds (or fails) if the 95% interval of the paired test difference is above (or below) zero and the
sign-flip test gives p < 0.05. A method that mixes linearly at one of these points is treated as
the variant of this point: ``mixup`` as ``input``, ``mixup@final`` as ``final``.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from itertools import product
from statistics import fmean
from typing import Literal, NamedTuple

from layermix.mixing import Linear, Permutation
from layermix.mixing.methods import find_method, is_method
from layermix.reporting.statistics import BySeed, Difference, differences
from layermix.reporting.variant import VariantSummary

Status = Literal["holds", "fails", "undecided", "not tested"]


class Pair(NamedTuple):
    """The variants that mix linearly at the final layer and at the input."""

    final: str
    input: str


@dataclass(frozen=True)
class Claim:
    """The result of the claim that mixing at the final layer is better than at the input."""

    status: Status
    gap: Difference | None  # final minus input; None if it is not tested
    absent: list[str]  # those of ``final`` and ``input`` that are no variants of the study
    waiting: list[str]  # variants of the claim that have no finished run


@dataclass(frozen=True)
class Verdict:
    """The best variant of a study, and the result of the claim."""

    winner: str  # the best variant on validation data
    rival: str | None  # ``"none"``; if that is the winner, the best variant that mixes
    gap: Difference | None  # winner minus rival on test data, if they share a seed
    claim: Claim


def conclude(
    planned: Sequence[str], variants: Sequence[VariantSummary], failed: Collection[str] = ()
) -> Verdict:
    """Return the verdict of a study from its variants with finished runs.

    `failed` names the variants with failed runs. If all have some, all are candidates.
    """
    candidates = [row for row in variants if row.name not in failed] or variants
    ranked = sorted(candidates, key=_validation(candidates), reverse=True)
    winner = ranked[0].name
    mixing = [row.name for row in ranked if row.name != "none"]
    rival = "none" if winner != "none" else next(iter(mixing), None)
    accuracy = {row.name: row.accuracy for row in variants}
    gap = difference(accuracy, winner, rival) if rival else None
    return Verdict(winner, rival, gap, _claim(planned, accuracy))


def difference(accuracy: dict[str, BySeed], variant: str, baseline: str) -> Difference | None:
    """Return the paired difference of two variants; None if they share no finished seed.

    It is one comparison, without correction.
    """
    if variant not in accuracy or baseline not in accuracy:
        return None
    pair = {name: accuracy[name] for name in (variant, baseline)}
    found = next(iter(differences(pair, baseline)), None)
    return found and replace(found, p_holm=None)


def claim_pair(variants: Sequence[str]) -> Pair | None:
    """Return the two variants that test the claim; None if the study has no such two.

    The variants ``final`` and ``input`` are preferred, then two methods with equal settings, then
    the first pair.
    """
    places = (_linear_at(place, variants) for place in Pair._fields)
    return min((Pair(*names) for names in product(*places)), key=_preference, default=None)


def _validation(
    variants: Sequence[VariantSummary],
) -> Callable[[VariantSummary], tuple[float, float]]:
    """Return a sort key of variants: mean validation accuracy, then NLL, over common seeds."""
    common = set.intersection(*(set(row.seeds) for row in variants))

    def mean(row: VariantSummary, metric: str) -> float:
        by_seed = dict(zip(row.seeds, row.val[metric].values, strict=True))
        return fmean(by_seed[seed] for seed in (common or row.seeds))

    return lambda row: (mean(row, "accuracy"), -mean(row, "nll"))


def _claim(planned: Sequence[str], accuracy: dict[str, BySeed]) -> Claim:
    pair = claim_pair(planned)
    gap = difference(accuracy, *pair) if pair else None
    absent = [place for place in Pair._fields if not _linear_at(place, planned)]
    waiting = [name for name in pair or () if name not in accuracy]
    by_sign: dict[int, Status] = {1: "holds", -1: "fails", 0: "undecided"}
    return Claim(by_sign[gap.sign] if gap else "not tested", gap, absent, waiting)


def _linear_at(place: str, variants: Sequence[str]) -> list[str]:
    """Return the variants that mix pairs linearly at ``"final"`` or ``"input"`` in every step."""
    named = [name for name in variants if name == place]
    return named + [name for name in variants if is_method(name) and _is_linear(name, place)]


def _is_linear(name: str, place: str) -> bool:
    found = find_method(name)
    parts = (found.at, found.blend, found.partner)
    return parts == (place, Linear(), Permutation()) and found.options.get("prob", 1.0) == 1.0


def _preference(pair: Pair) -> tuple[bool, bool]:
    """Return a sort key: pairs of mix points first, then of methods with equal settings."""
    methods = [dict(find_method(name).options) for name in pair if is_method(name)]
    return len(methods) > 0, len(methods) == 2 and methods[0] != methods[1]
