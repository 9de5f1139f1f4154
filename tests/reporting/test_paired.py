"""Tests of paired statistics against brute force and published formulas."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from layermix.geometry import MEASURES, LayerFeatures
from layermix.reporting.statistics import estimate, least_p
from layermix.reporting.statistics.paired import holm, sign_flip_p


def test_interval_equals_the_student_t_interval() -> None:
    values = [0.91, 0.94, 0.92, 0.97]
    found = estimate(values)
    low, high = stats.t.interval(0.95, 3, np.mean(values), stats.sem(values))
    assert (found.mean, found.n) == (pytest.approx(np.mean(values)), 4)
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))


def test_one_seed_has_no_interval() -> None:
    found = estimate([0.5])
    assert (found.low, found.high) == (None, None)


@given(st.lists(st.integers(-20, 20), min_size=2, max_size=8))
def test_sign_flip_p_equals_brute_force(values: list[int]) -> None:
    seen = abs(sum(values))
    patterns = list(itertools.product([1, -1], repeat=len(values)))
    far = sum(abs(sum(s * v for s, v in zip(p, values, strict=True))) >= seen for p in patterns)
    assert sign_flip_p(values) == pytest.approx(far / len(patterns))


def test_seeds_of_equal_sign_give_the_least_p() -> None:
    assert sign_flip_p([0.1, 0.2, 0.1, 0.3, 0.2, 0.1, 0.4, 0.2]) == least_p(8) == 2 / 256


def test_sign_flip_p_equals_scipy_permutation_test() -> None:
    values = np.random.default_rng(0).normal(0.3, 1, 12)
    found = stats.permutation_test(
        (values,), np.mean, permutation_type="samples", n_resamples=2**12
    )
    assert sign_flip_p(list(values)) == pytest.approx(found.pvalue)


def test_random_sign_flips_are_used_above_twenty_seeds() -> None:
    positive = [0.1 + 0.01 * k for k in range(21)]
    assert sign_flip_p(positive[:20]) == least_p(20) == 2**-19
    assert least_p(21) == 1 / 100_001
    assert least_p(21) <= sign_flip_p(positive) < 1e-4


@pytest.mark.parametrize("values", [[0.3], [0.3, math.nan] * 4, [math.inf] * 8])
def test_one_seed_and_values_that_are_not_finite_have_a_p_of_one(values) -> None:
    assert sign_flip_p(values) == 1.0


def test_holm_equals_the_step_down_method() -> None:
    # Holm (1979): sorted p times (m, m-1, ...), made monotone, at most 1.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1.0, 1.0]


@pytest.mark.parametrize(
    ("values", "side"),
    [([0.8, 0.9], 1), ([-0.8, -0.9], -1), ([0.8, -0.1], 0), ([0.8], 0)],
)
def test_side_is_that_of_the_whole_interval(values, side) -> None:
    assert estimate(values).side == side


@pytest.mark.parametrize("apart", [0.0, 0.5, 50.0])
@pytest.mark.parametrize("seed", range(5))
def test_measures_are_within_their_bounds(apart: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(24) % 3
    layer = LayerFeatures(torch.randn(24, 5, generator=generator) + apart * labels[:, None], labels)
    for name, measure in MEASURES.items():
        low, high = measure.bounds
        assert low - 1e-9 <= measure.compute(layer) <= high + 1e-9, name


def test_clipping_changes_only_the_interval_ends() -> None:
    found = estimate([0.0, 0.1])
    ends = found.clipped((0.0, 1.0))
    assert (ends.low, ends.high, ends.mean, ends.values) == (0.0, found.high, 0.05, (0.0, 0.1))
    assert found.exceeds((0.0, 1.0))
    assert not found.exceeds((-math.inf, 1.0))
    assert not estimate([1.0, 1.0]).exceeds((0.0, 1.0))
    assert estimate([0.5]).clipped((0.0, 0.1)) == estimate([0.5])
