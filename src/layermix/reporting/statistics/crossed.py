"""Intervals over seeds and test examples together, if all seeds have the same test examples.

The difference d(s, i) of two variants at seed s on example i is a two-way table with random seeds
and random examples. With the mean squares MS of its analysis of variance, the variance of the mean
is estimated by

    (MS_seeds + max(0, MS_examples - MS_residual)) / (S N)

and the degrees of freedom by Satterthwaite (1946). An interval over seeds alone holds for these
test examples only.
"""

import math

import numpy as np
from scipy import stats

from layermix.reporting.statistics.paired import CONFIDENCE, Estimate


def crossed_estimate(differences: np.ndarray) -> Estimate:
    """Return the mean of differences (S, N) of S >= 2 seeds and N >= 2 examples, and its interval.

    The values of the estimate are the means of the seeds.
    """
    seeds, examples = differences.shape
    mean, of_seeds = float(differences.mean()), differences.mean(1)
    residual = differences - of_seeds[:, None] - differences.mean(0) + mean
    squares = np.array(
        [
            examples * of_seeds.var(ddof=1),
            seeds * differences.mean(0).var(ddof=1),
            np.square(residual).sum() / ((seeds - 1) * (examples - 1)),
        ]
    )
    freedom = np.array([seeds - 1, examples - 1, (seeds - 1) * (examples - 1)])
    if squares[1] <= squares[2]:  # examples add nothing
        squares[1:] = 0
    total = squares[0] + squares[1] - squares[2]
    if total == 0:
        return Estimate(mean, mean, mean, seeds, tuple(of_seeds.tolist()))
    df = total**2 / np.square(squares).dot(1 / freedom)
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, df)) * math.sqrt(total / (seeds * examples))
    return Estimate(mean, mean - half, mean + half, seeds, tuple(of_seeds.tolist()))
