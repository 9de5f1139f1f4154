"""Tests of planned looks, power and intervals over images, against published and exact values."""

import math
from typing import Any

import numpy as np
import pytest
from scipy import integrate, stats

from layermix.reporting.statistics import crossed_estimate, estimate, look_at, seeds_needed
from layermix.reporting.statistics.looks import boundaries, spent
from layermix.reporting.statistics.paired import sign_flip_p
from layermix.reporting.statistics.power import detectable, power


@pytest.mark.parametrize(
    ("looks", "published"),
    [  # of the packages gsDesign and ldbounds, for equal steps and a one-sided level of 0.025
        (1, [1.9600]),
        (2, [2.9626, 1.9686]),
        (3, [3.7103, 2.5114, 1.9930]),
        (5, [4.8769, 3.3569, 2.6803, 2.2898, 2.0310]),
    ],
)
def test_boundaries_are_the_published_ones(looks: int, published: list[float]) -> None:
    times = [(k + 1) / looks for k in range(looks)]
    assert boundaries(times, 0.025) == pytest.approx(published, abs=2e-4)


def test_spending_function_ends_at_the_level() -> None:
    assert spent(1.0, 0.025) == pytest.approx(0.025)
    assert spent(0.5, 0.025) == pytest.approx(2 * stats.norm.sf(stats.norm.isf(0.0125) * 2**0.5))


def test_boundaries_spend_the_level_in_simulated_trials() -> None:
    rng, times = np.random.default_rng(0), [0.25, 0.6, 1.0]
    steps = rng.normal(size=(200_000, 3)) * np.sqrt(np.diff([0, *times]))
    z = steps.cumsum(1) / np.sqrt(times)
    crossed = (z > boundaries(times, 0.025)).any(1).mean()
    assert crossed == pytest.approx(0.025, abs=0.0015)


def test_look_is_the_last_one_that_is_reached() -> None:
    assert look_at(25, (10, 20, 30)).number == 2
    assert look_at(25, (10, 20, 30)).level == pytest.approx(2 * stats.norm.sf(2.5114), rel=1e-3)
    assert not look_at(25, (10, 20, 30)).is_last
    assert look_at(30, (10, 20, 30)).is_last
    assert look_at(5, (10, 20, 30)).number == 0
    alone = look_at(12, ())
    assert (alone.number, alone.planned, alone.level, alone.equal_level) == (1, (12,), 0.05, 0.05)


def test_power_equals_numerical_integration() -> None:
    # Condition on the sample deviation u = s / sigma: T > c if Z > c u - sqrt(n) d.
    n, d, level = 8, 0.9, 0.05
    critical = stats.t.isf(level / 2, n - 1)

    def density(u: float) -> Any:
        return stats.chi2.pdf((n - 1) * u**2, n - 1) * 2 * (n - 1) * u

    def shown(u: float) -> Any:
        upper = stats.norm.sf(critical * u - math.sqrt(n) * d)
        return upper + stats.norm.cdf(-critical * u - math.sqrt(n) * d)

    expected, _ = integrate.quad(lambda u: density(u) * shown(u), 0, 6)
    assert power(d, 1.0, n, level) == pytest.approx(expected, abs=1e-6)


def test_power_without_a_difference_is_the_level() -> None:
    assert power(0.0, 1.0, 10, 0.05) == pytest.approx(0.05)
    assert power(1.0, 0.0, 10) == 1.0
    assert power(1.0, 1.0, 1) == 0.0


@pytest.mark.parametrize(("n", "level"), [(13, 0.05), (40, 0.05), (40, 0.05 / 21)])
def test_detectable_difference_has_power_of_80_percent(n: int, level: float) -> None:
    found = detectable(0.7, n, level)
    assert power(found, 0.7, n, level) == pytest.approx(0.8, abs=1e-3)
    assert detectable(1.4, n, level) == pytest.approx(2 * found)


@pytest.mark.parametrize(("n", "level"), [(6, 0.05), (10, 0.05), (10, 0.05 / 21), (12, 0.01)])
def test_detectable_difference_of_few_seeds_is_that_of_both_tests(n: int, level: float) -> None:
    found, rng = detectable(1.0, n, level), np.random.default_rng(1)
    samples = found + rng.normal(size=(2000, n))
    shown = [
        sign_flip_p(values) < level and estimate(values, 1 - level).side != 0
        for values in samples.tolist()
    ]
    assert np.mean(shown) == pytest.approx(0.8, abs=0.03)


@pytest.mark.parametrize(("n", "level"), [(1, 0.05), (5, 0.05), (8, 0.05 / 21), (10, 0.0002)])
def test_nothing_is_detectable_below_the_least_p(n: int, level: float) -> None:
    assert detectable(1.0, n, level) == math.inf


@pytest.mark.parametrize("planned", [(6, 100), (1, 20), (10, 200)])
def test_very_early_looks_have_a_level_of_almost_zero(planned: tuple[int, ...]) -> None:
    assert look_at(planned[0], planned).level < 1e-10
    assert look_at(planned[1], planned).level == pytest.approx(0.05, rel=1e-3)


def test_seeds_needed_is_the_smallest_number() -> None:
    count = seeds_needed(0.5, 0.7)
    assert count == 18
    assert power(0.5, 0.7, 18) >= 0.8 > power(0.5, 0.7, 17)
    assert power(0.5, 0.7, seeds_needed(0.5, 0.7, goal=0.9) or 0) >= 0.9
    assert seeds_needed(1e-4, 1.0) is None
    assert seeds_needed(0.5, 0.0) == 6  # 2^(1 - 6) < 0.05
    assert seeds_needed(50.0, 0.7, 0.05 / 21) == 10
    assert 70_000 < (seeds_needed(0.01, 1.0) or 0) < 90_000


def test_crossed_interval_of_a_small_table_by_hand() -> None:
    # Seeds (rows) have means 2 and 4, images (columns) 1, 3 and 5; the residuals are ±1.
    table = np.array([[1.0, 2, 3], [1, 4, 7]])
    squares = (3 * 2.0, 2 * 4.0, 4 / 2)  # mean squares of seeds, images, residual
    total = squares[0] + squares[1] - squares[2]
    df = total**2 / (squares[0] ** 2 / 1 + squares[1] ** 2 / 2 + squares[2] ** 2 / 2)
    half = stats.t.ppf(0.975, df) * math.sqrt(total / 6)
    found = crossed_estimate(table)
    assert (found.mean, found.n, found.values) == (3.0, 2, (2.0, 4.0))
    assert (found.low, found.high) == (pytest.approx(3 - half), pytest.approx(3 + half))


def test_crossed_interval_without_an_image_effect_is_that_of_seeds() -> None:
    table = np.array([[1.0, 0, 1, 0], [0, 1, 0, 1], [1, 1, 1, 1], [0, 0, 1, 0]])
    found, usual = crossed_estimate(table), estimate(table.mean(1).tolist())
    assert (found.low, found.high) == (pytest.approx(usual.low), pytest.approx(usual.high))
    assert crossed_estimate(np.ones((3, 5))).low == 1.0


def test_crossed_interval_covers_the_mean_over_seeds_and_images() -> None:
    rng, inside = np.random.default_rng(0), 0
    for _ in range(1000):
        seeds, images = rng.normal(0, 0.1, (8, 1)), rng.normal(0, 1, (1, 100))
        found = crossed_estimate(0.3 + seeds + images + rng.normal(0, 1, (8, 100)))
        assert found.low is not None
        assert found.high is not None
        inside += found.low < 0.3 < found.high
    assert 0.93 < inside / 1000 < 0.975
