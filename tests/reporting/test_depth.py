"""Is the best quantity shown to order the layers better than their depth does?"""

import pytest

from layermix.reporting.statistics.depth import against_depth
from layermix.reporting.statistics.rank_correlation import Rank
from layermix.reporting.statistics.stats import estimate


def order(quantity: str, expected: int, rhos: list[float]) -> Rank:
    seeds = list(range(len(rhos)))
    found = estimate(rhos) if rhos else None
    return Rank(quantity, expected, seeds, 0, found, of_means=None, p=None)


def depth(rhos: list[float]) -> Rank:
    return order("depth", 0, rhos)


def test_the_seeds_of_one_net_have_a_lead_and_never_beat_depth() -> None:
    found = depth([0.1, 0.2] * 4)  # half = 2.3646 * 0.05345 / sqrt(8) = 0.0447
    assert against_depth([order("nc1", -1, [-0.9] * 8)], found, "seeds") == (
        "Depth alone, which measures nothing, is the baseline that a quantity must beat, whichever "
        "way depth runs: mean rho +0.15 over 8 seeds (95% interval +0.11 to +0.19). NC1 has mean "
        "rho −0.90 over 8 seeds (95% interval −0.90 to −0.90), +0.75 beyond depth (95% interval "
        "+0.71 to +0.79): the layers of one net cannot show that it beats depth."
    )


def test_a_quantity_that_leads_in_every_study_beats_depth() -> None:
    told = against_depth([order("nc1", -1, [-0.9] * 8)], depth([0.1, 0.2] * 4), "studies")
    assert told.endswith(
        "NC1 has mean rho −0.90 over 8 studies (95% interval −0.90 to −0.90), +0.75 beyond depth "
        "(95% interval +0.71 to +0.79): it beats depth."
    )


def test_depth_counts_on_the_side_on_which_it_does_best() -> None:
    falling = depth([-0.1, -0.2] * 4)
    told = against_depth([order("nc1", -1, [-0.9] * 8)], falling, "studies")
    assert "+0.75 beyond depth (95% interval +0.71 to +0.79)" in told


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("expected", [1, -1])
def test_the_order_of_depth_or_its_reverse_has_no_lead(sign: int, expected: int) -> None:
    rhos = [0.9, -0.2, 0.7, 0.8, 0.6, 0.9, 0.3, 0.5]
    own = order("knn", expected, [sign * expected * rho for rho in rhos])
    told = against_depth([own], depth([sign * rho for rho in rhos]), "studies")
    assert "kNN accuracy does no better" in told


def test_the_choice_of_the_best_is_corrected_for() -> None:
    found = depth([0.1 + 0.01 * s for s in range(8)])
    nc1, others = order("nc1", -1, [-0.9] * 8), [order("knn", 1, [0.2] * 8)] * 6
    told = against_depth([nc1, *others], found, "studies")  # p = 7 * 2 / 256
    assert "The best of the 7 quantities, NC1, has mean rho −0.90" in told
    assert told.endswith("it is not shown to beat depth.")
    five = against_depth([nc1, *others[:4]], found, "studies")  # p = 5 * 2 / 256
    assert five.endswith("it beats depth, also when corrected for the choice among 5.")


def test_the_best_is_the_one_furthest_on_the_expected_side() -> None:
    wrong, right = order("nc1", -1, [0.9, 0.9]), order("knn", 1, [0.3, 0.4])
    told = against_depth([wrong, right], depth([0.5, 0.5]), "seeds")
    assert "kNN accuracy, does no better: mean rho +0.35" in told


def test_one_seed_has_a_lead_and_no_interval() -> None:
    told = against_depth([order("knn", 1, [0.8])], depth([0.5]), "seeds")
    assert "+0.30 beyond depth: the layers of one net" in told


def test_depth_without_a_rho_says_nothing_and_alone_speaks_for_itself() -> None:
    assert against_depth([order("knn", 1, [0.8])], depth([]), "seeds") == ""
    alone = against_depth([order("knn", 1, [])], depth([0.5]), "seeds")
    assert alone.endswith("(no interval).")
