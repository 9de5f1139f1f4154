"""Tests of the lead of the best quantity over depth."""

import pytest

from layermix.reporting.statistics import Rank, estimate, lead


def make_rank(quantity: str, expected: int, rhos: list[float]) -> Rank:
    found = estimate(rhos) if rhos else None
    return Rank(quantity, expected, dict(enumerate(rhos)), 0, found, p=None)


def test_lead_equals_the_manually_computed_value() -> None:
    depth = make_rank("depth", 0, [0.1, 0.2] * 4)  # half = 2.3646 * 0.05345 / sqrt(8) = 0.0447
    found = lead([make_rank("nc1", -1, [-0.9] * 8)], depth)
    assert found is not None
    assert found.estimate.mean == pytest.approx(0.75)
    assert found.estimate.low == pytest.approx(0.75 - 0.0447, abs=1e-4)
    assert found.p == 2 / 256


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("expected", [1, -1])
def test_quantity_with_the_order_of_depth_has_no_lead(sign: int, expected: int) -> None:
    rhos = [0.9, -0.2, 0.7, 0.8, 0.6, 0.9, 0.3, 0.5]
    copy = make_rank("knn", expected, [sign * expected * rho for rho in rhos])
    found = lead([copy], make_rank("depth", 0, [sign * rho for rho in rhos]))
    assert found is not None
    assert found.estimate.mean <= 1e-12


def test_lead_p_is_corrected_for_the_number_of_quantities() -> None:
    depth = make_rank("depth", 0, [0.1 + 0.01 * s for s in range(8)])
    nc1, others = make_rank("nc1", -1, [-0.9] * 8), [make_rank("knn", 1, [0.2] * 8)] * 6
    seven, five = lead([nc1, *others], depth), lead([nc1, *others[:4]], depth)
    assert seven is not None
    assert five is not None
    assert (seven.best.quantity, seven.tried, seven.p) == ("nc1", 7, 7 * 2 / 256)
    assert (five.p, five.estimate.sign(five.p), seven.estimate.sign(seven.p)) == (10 / 256, 1, 0)


def test_best_quantity_is_furthest_on_the_expected_side() -> None:
    wrong, right = make_rank("nc1", -1, [0.9, 0.9]), make_rank("knn", 1, [0.3, 0.4])
    found = lead([wrong, right], make_rank("depth", 0, [0.5, 0.5]))
    assert found is not None
    assert found.best.quantity == "knn"
    assert found.estimate.mean == pytest.approx(-0.15)


def test_quantity_with_few_studies_is_not_the_best() -> None:
    depth, known = make_rank("depth", 0, [0.5] * 9), make_rank("nc1", -1, [-0.6] * 8)
    found = lead([known, make_rank("gap", -1, [-1.0])], depth)
    assert found is not None
    assert (found.best.quantity, found.tried) == ("nc1", 1)


def test_lead_is_none_without_rhos() -> None:
    assert lead([make_rank("knn", 1, [0.8])], make_rank("depth", 0, [])) is None
    assert lead([make_rank("knn", 1, [])], make_rank("depth", 0, [0.5])) is None
