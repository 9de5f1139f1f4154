"""Paired comparisons of variants, and their verdicts.

Two variants are *practically equal* if the 90% Student-t interval of their difference is within the
margin: two one-sided tests, each at 5% (Schuirmann, 1987). Otherwise one is *better* or *worse* if
the 95% interval excludes zero and the p-value of the sign-flip test, after Holm's correction for
all comparisons of its family, is below 0.05. All else is *undecided*. Fewer than six seeds have no
verdict. At a planned look at a growing study, the levels are those of the look.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np

from layermix.lab.study_config import MIN_SEEDS
from layermix.reporting.statistics.looks import Look
from layermix.reporting.statistics.paired import (
    BySeed,
    Estimate,
    estimate,
    holm,
    sign_flip_p,
)
from layermix.reporting.statistics.power import detectable

Outcome = Literal["better", "worse", "practically equal", "undecided", "too few seeds"]


@dataclass(frozen=True)
class Difference:
    """A paired difference of two variants in one metric: `variant` minus `baseline`."""

    variant: str
    baseline: str
    metric: str
    estimate: Estimate  # over the seeds of both, with its 95% interval
    p: float  # two-sided, of the sign-flip test
    p_holm: float | None  # corrected for its family; None for a single comparison
    outcome: Outcome
    margin: float  # differences within ± margin are practically equal
    detectable: float  # smallest difference that is shown with probability 0.8; may be infinite

    @property
    def sign(self) -> int:
        """1 if the variant is better, -1 if it is worse, otherwise 0."""
        return {"better": 1, "worse": -1}.get(self.outcome, 0)


@dataclass(frozen=True)
class Scale:
    """The margin of practical equality of a metric, and if higher values are better."""

    margin: float
    higher_is_better: bool


def scales(margin: float, classes: int) -> dict[str, Scale]:
    """Return the scales of accuracy, NLL and Brier score for a margin of accuracy.

    Each margin is the same share of the distance between uniform predictions and perfect ones:
    1 - 1/K for accuracy and Brier score, ln K for the NLL.
    """
    nll = margin * math.log(classes) / (1 - 1 / classes) if classes > 1 else margin
    return {
        "accuracy": Scale(margin, True),
        "nll": Scale(nll, False),
        "brier": Scale(margin, False),
    }


class Pair(NamedTuple):
    """Two variants to compare in one metric: their names, and their values by seed."""

    variant: str
    baseline: str
    metric: str
    values: BySeed
    others: BySeed

    @property
    def differences(self) -> list[float]:
        """The paired differences, at the seeds of both."""
        seeds = sorted(self.values.keys() & self.others.keys())
        return [self.values[seed] - self.others[seed] for seed in seeds]


def compare_pairs(
    pairs: Iterable[Pair], scales: dict[str, Scale], look: Look, *, single: bool = False
) -> list[Difference]:
    """Compare pairs of variants as one family; pairs without a common seed are left out.

    If `single` is True, each pair is a question of its own, whose p-value is not corrected.
    """
    rows = [(pair, found) for pair in pairs if (found := pair.differences)]
    p_values = [sign_flip_p(found) for _, found in rows]
    corrected: Sequence[float | None] = [None] * len(rows) if single else holm(p_values)
    level = look.level if single else look.level / max(1, len(rows))
    return [
        Difference(
            pair.variant,
            pair.baseline,
            pair.metric,
            estimate(found),
            p,
            p_holm,
            outcome(found, p if p_holm is None else p_holm, scales[pair.metric], look),
            scales[pair.metric].margin,
            detectable(deviation(found), len(found), level),
        )
        for (pair, found), p, p_holm in zip(rows, p_values, corrected, strict=True)
    ]


def outcome(paired: Sequence[float], p: float, scale: Scale, look: Look) -> Outcome:
    """Return the verdict on paired differences, given the p-value of their sign-flip test."""
    if len(paired) < MIN_SEEDS:
        return "too few seeds"
    if is_equal(paired, scale.margin, look):
        return "practically equal"
    side = estimate(paired, 1 - look.level).side
    if not side or p >= look.level:
        return "undecided"
    return "better" if (side > 0) == scale.higher_is_better else "worse"


def is_equal(paired: Sequence[float], margin: float, look: Look) -> bool:
    """Return True if the interval of two one-sided tests is within ± margin."""
    inner = estimate(paired, 1 - 2 * look.equal_level)
    return (
        inner.low is not None
        and inner.high is not None
        and (-margin < inner.low and inner.high < margin)
    )


def deviation(paired: Sequence[float]) -> float:
    """Return the sample standard deviation; infinite for a single value."""
    return float(np.std(paired, ddof=1)) if len(paired) > 1 else math.inf


def turned(difference: Difference) -> Difference:
    """Return the difference with variant and baseline exchanged."""
    found = difference.estimate
    low = None if found.high is None else -found.high
    high = None if found.low is None else -found.low
    negated = replace(
        found, mean=-found.mean, low=low, high=high, values=tuple(-v for v in found.values)
    )
    opposite: dict[Outcome, Outcome] = {"better": "worse", "worse": "better"}
    return replace(
        difference,
        variant=difference.baseline,
        baseline=difference.variant,
        estimate=negated,
        outcome=opposite.get(difference.outcome, difference.outcome),
    )
