"""The verdict of a study: the best variant, and whether *final beats input* holds.

The winner is chosen on validation data. On test data it is compared with a rival: a winner that
mixes with no mixing, or no mixing with the best variant that mixes (also on validation data).
Validation accuracies are means over the seeds that all candidates have finished. Variants with
failed runs are not candidates, because the seeds that do not fail are often the easy ones.

Comparisons with the baseline (``none``, otherwise ``input``) are one family: all variants, in
accuracy, NLL and Brier score. That of the winner and its rival is one of them, so that the
correction includes the choice of the winner.

*Final beats input* is a single claim about accuracy, chosen beforehand, so that its p-value is not
corrected. A method that mixes linearly at one of these points is treated as the variant of this
point: ``mixup`` as ``input``, ``mixup@final`` as ``final``.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import product
from statistics import fmean
from typing import Any, Literal, NamedTuple

import numpy as np

from layermix.mixing import Linear, Permutation
from layermix.mixing.methods import find_method, is_method
from layermix.reporting.statistics import (
    Difference,
    Estimate,
    Look,
    Pair,
    Scale,
    compare_pairs,
    estimate,
    turned,
)
from layermix.reporting.variant import VariantSummary

BASELINES = ("none", "input")  # the first one with a finished run is the baseline
CALIBRATION = ("nll", "brier", "ece")  # a winner that is worse in one of them is not just "better"
Status = Literal["holds", "fails", "practically equal", "undecided", "too few seeds", "not tested"]


class ClaimPair(NamedTuple):
    """The variants that mix linearly at the final layer and at the input."""

    final: str
    input: str


@dataclass(frozen=True)
class Claim:
    """The result of the claim that mixing at the final layer is better than at the input.

    Differences are final minus input, by metric. `explained` are differences as trained minus those
    with clean norm statistics: what the statistics of the norms explain.
    """

    status: Status
    gaps: dict[str, Difference]  # empty if it is not tested
    clean: dict[str, Difference]  # empty without batch norms
    explained: dict[str, Estimate]
    absent: list[str]  # those of ``final`` and ``input`` that are no variants of the study
    waiting: list[str]  # variants of the claim that have no finished run
    drawbacks: dict[str, Estimate] = field(default_factory=dict)  # like those of a `Verdict`

    @property
    def gap(self) -> Difference | None:
        """The difference in accuracy, or None if it is not tested."""
        return self.gaps.get("accuracy")


@dataclass(frozen=True)
class Verdict:
    """The best variant of a study, and the result of the claim."""

    winner: str  # the best variant on validation data
    rival: str | None  # ``"none"``; if that is the winner, the best variant that mixes
    gap: Difference | None  # winner minus rival in test accuracy, if they share a seed
    drawbacks: dict[str, Estimate]  # winner minus rival in metrics whose mean is worse
    claim: Claim
    family: list[Difference] = field(default_factory=list)  # all comparisons with the baseline


def conclude(
    planned: Sequence[str],
    variants: Sequence[VariantSummary],
    scales: dict[str, Scale],
    look: Look,
    failed: Collection[str] = (),
) -> Verdict:
    """Return the verdict of a study from its variants with finished runs.

    `failed` names the variants with failed runs. If all have some, all are candidates. The first
    measured layer is the input, or the embedding of tokens, which then takes its place.
    """
    candidates = [row for row in variants if row.name not in failed] or variants
    ranked = sorted(candidates, key=_validation(candidates), reverse=True)
    winner, by_name = ranked[0].name, {row.name: row for row in variants}
    mixing = [row.name for row in ranked if row.name != "none"]
    rival = "none" if winner != "none" else next(iter(mixing), None)
    family = compare_all(by_name, scales, look)
    gap = _between(family, winner, rival)
    return Verdict(
        winner,
        rival,
        gap,
        _drawbacks(by_name[winner], by_name[rival]) if gap and rival else {},
        _claim(planned, by_name, scales, look, next(iter(variants[0].snnl), "input")),
        family,
    )


def baseline_of(variants: Iterable[str]) -> str | None:
    """Return the baseline of a study among its variants with finished runs, if it has one."""
    names = set(variants)
    return next((name for name in BASELINES if name in names), None)


def compare_all(
    variants: dict[str, VariantSummary], scales: dict[str, Scale], look: Look
) -> list[Difference]:
    """Compare all variants with the baseline, as one family; empty without a baseline."""
    baseline = baseline_of(variants)
    if baseline is None:
        return []
    return compare_pairs(
        (
            Pair(name, baseline, metric, row.values(metric), variants[baseline].values(metric))
            for metric in scales
            for name, row in variants.items()
            if name != baseline
        ),
        scales,
        look,
    )


def claim_pair(variants: Sequence[str], first: str = "input") -> ClaimPair | None:
    """Return the two variants that test the claim; None if the study has no such two.

    The variants ``final`` and `first` (the input, or the embedding of tokens) are preferred, then
    two methods with equal settings, then the first pair.
    """
    places = (_linear_at(place, variants) for place in ("final", first))
    return min((ClaimPair(*names) for names in product(*places)), key=_preference, default=None)


def paired(
    one: VariantSummary, other: VariantSummary, metric: str, *, clean: bool = False
) -> list[float]:
    """Return the differences of a test metric at the seeds of both variants."""
    values, others = (row.values(metric, clean=clean) for row in (one, other))
    return Pair(one.name, other.name, metric, values, others).differences


def _between(family: Sequence[Difference], winner: str, rival: str | None) -> Difference | None:
    """Return the difference in accuracy of two variants from their family."""
    for found in family:
        if found.metric == "accuracy":
            if (found.variant, found.baseline) == (winner, rival):
                return found
            if (found.baseline, found.variant) == (winner, rival):
                return turned(found)
    return None


def _drawbacks(winner: VariantSummary, rival: VariantSummary) -> dict[str, Estimate]:
    found = {metric: paired(winner, rival, metric) for metric in CALIBRATION}
    gaps = {metric: estimate(values) for metric, values in found.items() if values}
    return {metric: gap for metric, gap in gaps.items() if gap.mean > 0}


def _validation(
    variants: Sequence[VariantSummary],
) -> Callable[[VariantSummary], tuple[float, float]]:
    """Return a sort key of variants: mean validation accuracy, then NLL, over common seeds."""
    common = set.intersection(*(set(row.seeds) for row in variants))

    def mean(row: VariantSummary, metric: str) -> float:
        if metric not in row.val:
            return 0.0
        by_seed = dict(zip(row.seeds, row.val[metric].values, strict=True))
        return fmean(by_seed[seed] for seed in (common or row.seeds))

    return lambda row: (mean(row, "accuracy"), -mean(row, "nll"))


def _claim(
    planned: Sequence[str],
    variants: dict[str, VariantSummary],
    scales: dict[str, Scale],
    look: Look,
    first: str,
) -> Claim:
    pair = claim_pair(planned, first)
    absent = [place for place in ("final", first) if not _linear_at(place, planned)]
    waiting = [name for name in pair or () if name not in variants]
    if pair is None or waiting:
        return Claim("not tested", {}, {}, {}, absent, waiting)
    final, other = (variants[name] for name in pair)

    def gaps(clean: bool) -> dict[str, Difference]:
        pairs = (
            Pair(*pair, m, final.values(m, clean=clean), other.values(m, clean=clean))
            for m in scales
        )
        return {gap.metric: gap for gap in compare_pairs(pairs, scales, look, single=True)}

    trained, clean = gaps(clean=False), gaps(clean=True)
    explained = {
        metric: estimate((np.array(gap.estimate.values) - others.estimate.values).tolist())
        for metric, gap in trained.items()
        if (others := clean.get(metric)) and others.estimate.n == gap.estimate.n
    }
    words: dict[str, Status] = {"better": "holds", "worse": "fails"}
    result = trained["accuracy"].outcome if trained else "not tested"
    status: Any = words.get(result, result)
    drawbacks = _drawbacks(final, other) if status == "holds" else {}
    return Claim(status, trained, clean, explained, absent, waiting, drawbacks)


def _linear_at(place: str, variants: Sequence[str]) -> list[str]:
    """Return the variants that mix pairs linearly at a mix point in every step."""
    named = [name for name in variants if name == place]
    return named + [name for name in variants if is_method(name) and _is_linear(name, place)]


def _is_linear(name: str, place: str) -> bool:
    found = find_method(name)
    parts = (found.at, found.blend, found.partner)
    return parts == (place, Linear(), Permutation()) and found.options.get("prob", 1.0) == 1.0


def _preference(pair: ClaimPair) -> tuple[bool, bool]:
    """Return a sort key: pairs of mix points first, then of methods with equal settings."""
    methods = [dict(find_method(name).options) for name in pair if is_method(name)]
    return len(methods) > 0, len(methods) == 2 and methods[0] != methods[1]
