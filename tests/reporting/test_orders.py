"""The permutation test over layers: by hand, against brute force, and where orders are drawn."""

import itertools
import math

import numpy as np
import pytest
from numpy.typing import ArrayLike
from scipy import stats

from layermix.reporting.statistics import least_orders_p, ranks
from layermix.reporting.statistics.ranks import orders_p, standard_ranks


def p_of(quantity: ArrayLike, gains: ArrayLike) -> float:
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
        # ties on both sides: the odd layers meet in one third of the orders; nothing is further
        ([1, 1, 2], [5, 5, 7], 2 * 2 / 6),
        ([1, 1, 2], [7, 5, 5], 1),
    ],
)
def test_p_by_hand(quantity: list[float], gains: list[float], p: float) -> None:
    assert p_of([quantity], [gains]) == pytest.approx(p)


def test_p_of_two_seeds_by_hand() -> None:
    # Both seeds agree, in different orders: no other order of the layers has a mean rho of 1.
    both = [[1, 2, 3], [2, 1, 3]]
    assert p_of(both, both) == pytest.approx(2 * 1 / 6)
    # Seeds that contradict one another: the mean rho is zero under every order.
    assert p_of([[1, 2, 3], [3, 2, 1]], [[1, 2, 3], [1, 2, 3]]) == 1


def test_seeds_that_repeat_one_order_add_no_evidence() -> None:
    quantity, gains = [4.0, 1, 2, 3, 5], [3.0, 1, 2, 4, 5]
    assert p_of([quantity] * 20, [gains] * 20) == p_of([quantity], [gains])


@pytest.mark.parametrize("seeds", [1, 2, 4])
@pytest.mark.parametrize("layers", [3, 4, 5])
@pytest.mark.parametrize("ties", [True, False])
def test_p_counts_every_order_of_the_layers(seeds: int, layers: int, ties: bool) -> None:
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
        assert p_of(quantity, gains) == pytest.approx(min(1, 2 * above, 2 * below))


def rho(x: np.ndarray, y: np.ndarray) -> float:
    return np.corrcoef(stats.rankdata(x), stats.rankdata(y))[0, 1]


def test_random_orders_come_near_the_exact_p(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    quantity = rng.normal(size=(3, 8))
    gains = quantity + rng.normal(0, 2, (3, 8))
    exact = p_of(quantity, gains)
    monkeypatch.setattr(ranks, "EXACT_LAYERS", 7)
    drawn = p_of(quantity, gains)
    assert 0.02 < exact < 0.5
    assert drawn == p_of(quantity, gains) != exact
    assert drawn == pytest.approx(exact, abs=4 * 2 * math.sqrt(exact / 2 / 20_000))


@pytest.mark.parametrize("layers", [3, 5, 8, 9, 14])
def test_the_same_order_at_every_seed_gives_the_least_p(layers: int) -> None:
    same = [[float(k) for k in range(layers)]] * 3
    assert p_of(same, same) == pytest.approx(least_orders_p(layers))


def test_the_least_p_is_that_of_two_orders() -> None:
    assert [least_orders_p(n) for n in (3, 4, 8)] == [2 / 6, 2 / 24, 2 / 40320]
    assert least_orders_p(9) == 2 / 20_001
