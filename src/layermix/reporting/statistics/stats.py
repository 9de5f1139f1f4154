"""Honest statistics over seeds: Student-t intervals, exact paired tests, Holm's correction.

All variants share their seeds, so that they are compared seed by seed: intervals and tests are on
paired differences.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

CONFIDENCE = 0.95
LEVEL = 0.05  # below which a p-value shows something
BASELINES = ("none", "input")  # the variants that all others are compared with
EXACT_SEEDS = 20  # up to which the sign-flip test takes every pattern of signs
RANDOM_FLIPS = 100_000  # patterns drawn at random above that


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds with its 95% Student-t interval.

    Attributes
    ----------
    mean
        Mean over the seeds.
    low, high
        Ends of the interval; None with a single seed.
    n
        Number of seeds.
    values
        The value of each seed.
    """

    mean: float
    low: float | None
    high: float | None
    n: int
    values: tuple[float, ...]


@dataclass(frozen=True)
class Difference:
    """A paired difference between two variants, with its sign-flip test.

    Attributes
    ----------
    variant, baseline
        The difference is variant minus baseline.
    estimate
        Mean and interval of the differences.
    p
        Two-sided p-value of the sign-flip test.
    p_holm
        The same after Holm's correction over the comparisons with this baseline.
    """

    variant: str
    baseline: str
    estimate: Estimate
    p: float
    p_holm: float


def estimate(values: Sequence[float]) -> Estimate:
    """Return the mean with its Student-t interval; at least one value."""
    array = np.asarray(values, dtype=float)
    mean, n = float(array.mean()), len(array)
    if n == 1:
        return Estimate(mean, None, None, n, tuple(values))
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, n - 1) * array.std(ddof=1) / math.sqrt(n))
    return Estimate(mean, mean - half, mean + half, n, tuple(values))


def sign_flip_p(differences: Sequence[float]) -> float:
    """Return the two-sided p-value of the paired sign-flip (permutation) test.

    If neither variant were better, each difference would be as likely with the other sign. Of all
    2^n sign patterns, p is the share whose mean is at least as far from zero (Fisher, 1935): the
    exact test. Above `EXACT_SEEDS` seeds, `RANDOM_FLIPS` random patterns stand in for all.
    """
    n, array = len(differences), np.asarray(differences, dtype=float)
    if n == 1:
        return 1.0
    if n <= EXACT_SEEDS:
        sums = (_flipped(array[: n // 2])[:, None] + _flipped(array[n // 2 :])).ravel()
        rounding = 1e-12 * np.abs(array).sum()
        return float(np.mean(np.abs(sums) >= abs(array.sum()) - rounding))
    result = stats.permutation_test(
        (array,),
        np.mean,
        permutation_type="samples",
        n_resamples=RANDOM_FLIPS,
        batch=10_000,
        rng=np.random.default_rng(0),
    )
    return float(result.pvalue)


def _flipped(values: np.ndarray) -> np.ndarray:
    """Return the sums of some values under every pattern of signs."""
    sums = np.zeros(1)
    for value in values:
        sums = np.concatenate([sums - value, sums + value])
    return sums


def least_p(n: int) -> float:
    """Return the least p-value that the sign-flip test can give with n seeds."""
    return 2.0 ** (1 - n) if n <= EXACT_SEEDS else 2 / (RANDOM_FLIPS + 1)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return Holm's (1979) step-down adjusted p-values, in the order given."""
    adjusted, running = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(np.argsort(p_values, kind="stable")):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = running
    return adjusted


def differences(values: dict[str, dict[int, float]], baseline: str) -> list[Difference]:
    """Compare every variant with a baseline, seed by seed.

    Parameters
    ----------
    values
        For each variant the value of each seed. A comparison takes the seeds that both have.
    baseline
        One of the variants.
    """
    rows = []
    for variant, own in values.items():
        seeds = sorted(own.keys() & values[baseline].keys())
        if variant != baseline and seeds:
            paired = [own[seed] - values[baseline][seed] for seed in seeds]
            rows.append((variant, paired, sign_flip_p(paired)))
    corrected = holm([p for _, _, p in rows])
    return [
        Difference(variant, baseline, estimate(paired), p, p_holm)
        for (variant, paired, p), p_holm in zip(rows, corrected, strict=True)
    ]
