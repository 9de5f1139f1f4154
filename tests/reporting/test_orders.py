"""Tests of the permutation test over layers: known values, brute force, and random orders."""

import itertools
import math

import numpy as np
import pytest
from numpy.typing import ArrayLike
from scipy import stats

from layermix.reporting.statistics import least_orders_p, ranks
from layermix.reporting.statistics.ranks import orders_p, standard_ranks


def permutation_p(quantity: ArrayLike, gains: ArrayLike) -> float:
    return orders_p(standard_ranks(quantity), standard_ranks(gains))


@pytest.mark.parametrize(
    ("quantity", "gains", "p"),
    [
        # rho over all orders of three: 1, 0.5, 0.5, -0.5, -0.5, -1
        ([1, 2, 3], [1, 2, 3], 2 * 1 / 6),
        ([1, 2, 3], [3, 2, 1], 2 * 1 / 6),
        ([1, 2, 3], [1, 3, 2], 2 * 3 / 6),
        # of four: 1 once, 0.8 three times (one pair of neighbors swapped), then less
        ([1, 2, 3, 4], [1, 2, 3, 4], 2 * 1 / 24),
        ([1, 2, 3, 4], [1, 3, 2, 4], 2 * 4 / 24),
        # a tie: rho depends on the gain of the third layer alone, two orders for each
        ([1, 1, 2], [1, 2, 3], 2 * 2 / 6),
        ([1, 1, 2], [1, 3, 2], 1),
        # ties on both sides: the untied layers match in one third of the orders, the maximum
        ([1, 1, 2], [5, 5, 7], 2 * 2 / 6),
        ([1, 1, 2], [7, 5, 5], 1),
    ],
)
def test_p_equals_the_manually_computed_value(
    quantity: list[float], gains: list[float], p: float
) -> None:
    assert permutation_p([quantity], [gains]) == pytest.approx(p)


def test_p_of_two_seeds_equals_the_manually_computed_value() -> None:
    # Both seeds agree, in different orders: no other order of the layers has a mean rho of 1.
    both = [[1, 2, 3], [2, 1, 3]]
    assert permutation_p(both, both) == pytest.approx(2 * 1 / 6)
    # The seeds have opposite orders: the mean rho is zero for every order.
    assert permutation_p([[1, 2, 3], [3, 2, 1]], [[1, 2, 3], [1, 2, 3]]) == 1


def test_repeated_seeds_do_not_change_p() -> None:
    quantity, gains = [4.0, 1, 2, 3, 5], [3.0, 1, 2, 4, 5]
    assert permutation_p([quantity] * 20, [gains] * 20) == permutation_p([quantity], [gains])


@pytest.mark.parametrize("seeds", [1, 2, 4])
@pytest.mark.parametrize("layers", [3, 4, 5])
@pytest.mark.parametrize("ties", [True, False])
def test_p_equals_brute_force_over_all_orders(seeds: int, layers: int, ties: bool) -> None:
    rng = np.random.default_rng(layers)
    for _ in range(4):
        both = rng.normal(size=(2, seeds, layers))
        if ties:
            both[..., 1] = both[..., 0]
        quantity, gains = both
        pairs = list(zip(quantity, gains, strict=True))
        every = map(list, itertools.permutations(range(layers)))
        rhos = np.array([np.mean([rho(q, g[order]) for q, g in pairs]) for order in every])
        above, below = np.mean(rhos >= rhos[0] - 1e-9), np.mean(rhos <= rhos[0] + 1e-9)
        assert permutation_p(quantity, gains) == pytest.approx(min(1, 2 * above, 2 * below))


def rho(x: np.ndarray, y: np.ndarray) -> float:
    return np.corrcoef(stats.rankdata(x), stats.rankdata(y))[0, 1]


def test_random_orders_approximate_the_exact_p(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    quantity = rng.normal(size=(3, 8))
    gains = quantity + rng.normal(0, 2, (3, 8))
    exact = permutation_p(quantity, gains)
    monkeypatch.setattr(ranks, "EXACT_LAYERS", 7)
    drawn = permutation_p(quantity, gains)
    assert 0.02 < exact < 0.5
    assert drawn == permutation_p(quantity, gains) != exact
    assert drawn == pytest.approx(exact, abs=4 * 2 * math.sqrt(exact / 2 / 20_000))


@pytest.mark.parametrize("layers", [3, 5, 8, 9, 14])
def test_equal_orders_at_every_seed_give_the_least_p(layers: int) -> None:
    same = [[float(k) for k in range(layers)]] * 3
    assert permutation_p(same, same) == pytest.approx(least_orders_p(layers))


def test_least_p_is_that_of_two_orders() -> None:
    assert [least_orders_p(n) for n in (3, 4, 8)] == [2 / 6, 2 / 24, 2 / 40320]
    assert least_orders_p(9) == 2 / 20_001
