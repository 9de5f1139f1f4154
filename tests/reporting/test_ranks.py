"""Tests of rank correlation against scipy, manually computed values, and invariants."""

from collections.abc import Sequence

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from layermix.reporting.statistics import Rank, estimate
from layermix.reporting.statistics.ranks import rank

FEW = st.integers(-3, 3).map(float)  # few values, so that there are ties
PAIRS = st.lists(st.tuples(FEW, FEW), min_size=3, max_size=6)


def by_seed(*layers: list[float]) -> dict[str, dict[int, float]]:
    return {f"block{k}": dict(enumerate(values)) for k, values in enumerate(layers)}


def rho(x: Sequence[float], y: Sequence[float]) -> float | None:
    """Return the rho of one seed with layer values `x` and gains `y`."""
    values, gains = (by_seed(*([float(v)] for v in each)) for each in (x, y))
    return rank("snnl", -1, values, gains).rhos.get(0)


@given(PAIRS)
def test_rho_equals_scipy_spearmanr_with_ties(pairs: list[tuple[float, float]]) -> None:
    x, y = zip(*pairs, strict=True)
    assume(len(set(x)) > 1 and len(set(y)) > 1)
    assert rho(x, y) == pytest.approx(stats.spearmanr(x, y)[0], abs=1e-12)


def test_rho_equals_the_formula_without_ties() -> None:
    # Without ties rho = 1 - 6 sum d^2 / (n (n^2 - 1)); here d = 0, 1, -1, 0.
    assert rho([1, 2, 3, 4], [10, 30, 20, 40]) == pytest.approx(1 - 6 * 2 / (4 * 15))


def test_ties_have_average_ranks() -> None:
    # Ranks 1.5, 1.5, 3 and 1, 2, 3: centered -.5, -.5, 1 and -1, 0, 1.
    assert rho([5, 5, 7], [1, 2, 3]) == pytest.approx(1.5 / (1.5 * 2) ** 0.5)


@given(st.lists(st.floats(-1e6, 1e6), min_size=3, max_size=6, unique=True))
def test_rho_is_1_for_equal_and_minus_1_for_reversed_orders(values: list[float]) -> None:
    cubes = [value**3 for value in values]
    assume(len(set(cubes)) == len(values))
    assert rho(values, cubes) == pytest.approx(1)
    assert rho(values, [-cube for cube in cubes]) == pytest.approx(-1)


@pytest.mark.parametrize(("x", "y"), [([1, 1, 1], [1, 2, 3]), ([1, 2, 3], [0, 0, 0])])
def test_rho_of_a_constant_is_none_without_a_warning(x, y) -> None:
    assert rho(x, y) is None


def test_rank_has_a_rho_per_seed_and_an_interval() -> None:
    values = by_seed([3, 1, 2, 1], [2, 2, 3, 2], [1, 3, 1, 3])
    gains = by_seed([0, 0, 0, 0], [1, 1, 1, 1], [2, 2, 2, 2])
    found = rank("snnl", -1, values, gains)
    assert found.estimate is not None
    rhos = [-1.0, 1.0, -0.5, 1.0]
    assert found.estimate.values == pytest.approx(rhos)
    assert found.estimate == estimate(found.estimate.values)
    assert (list(found.rhos), found.undefined) == ([0, 1, 2, 3], 0)
    # Over the six orders the mean rho is 1/4, 1/8, 1/8, -1/8, -1/8, -1/4; here it is 1/8.
    assert found.p == 1


def test_seeds_without_an_order_are_excluded_and_counted() -> None:
    values = by_seed([3, 1, 5], [2, 2, 5], [1, 3, 5])  # seed 2 is constant
    gains = by_seed([0, 0, 0], [1, 1, 1], [2, 2, 2])
    del values["block1"][0]
    found = rank("nc1", -1, values, gains)
    assert (list(found.rhos), found.undefined) == ([1], 2)
    assert found.estimate is not None
    assert (found.estimate.mean, found.estimate.low, found.p) == (pytest.approx(1), None, 1 / 3)


def test_equal_gains_have_no_rho() -> None:
    found = rank("nc1", -1, by_seed([3], [2], [1]), by_seed([0.1], [0.1], [0.1]))
    assert (found.rhos, found.undefined, found.estimate, found.p) == ({}, 1, None, None)
    assert found.side == found.side_holm == 0


def test_quantity_missing_at_a_layer_has_no_rho() -> None:
    values = by_seed([3], [2], [1])
    del values["block2"]
    assert rank("nc1", -1, values, by_seed([1], [2], [3])).estimate is None


@pytest.mark.parametrize(
    ("expected", "values", "side"),
    [(1, [0.8, 0.9], 1), (-1, [0.8, 0.9], -1), (-1, [-0.8, -0.9], 1), (0, [0.8, 0.9], 0)],
)
def test_side_is_the_sign_of_rho_relative_to_the_hypothesis(expected, values, side) -> None:
    found = Rank("knn", expected, {}, 0, estimate(values), p=0.01, p_holm=0.06)
    assert (found.side, found.side_holm) == (side, 0)
