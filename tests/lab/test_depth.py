"""Is the best quantity shown to order the layers better than their depth does?"""

from layermix.lab.answer.depth import against_depth
from layermix.lab.answer.ranks import Rank
from layermix.lab.answer.stats import estimate


def order(quantity: str, expected: int, rhos: list[float]) -> Rank:
    seeds = list(range(len(rhos)))
    found = estimate(rhos) if rhos else None
    return Rank(quantity, expected, seeds, 0, found, of_means=None, p=None)


def test_a_quantity_that_leads_at_every_seed_beats_depth() -> None:
    depth = order("depth", 1, [0.1, 0.2] * 4)  # half = 2.3646 * 0.05345 / sqrt(8) = 0.0447
    nc1 = order("nc1", -1, [-0.9] * 8)
    assert against_depth([nc1], depth).endswith(
        "NC1 has mean rho −0.90 over 8 seeds (95% interval −0.90 to −0.90), +0.75 beyond depth on "
        "the expected side (95% interval +0.71 to +0.79): it beats depth."
    )


def test_the_choice_of_the_best_is_corrected_for() -> None:
    depth = order("depth", 1, [0.1 + 0.01 * s for s in range(8)])
    nc1, others = order("nc1", -1, [-0.9] * 8), [order("knn", 1, [0.2] * 8)] * 6
    told = against_depth([nc1, *others], depth)  # p = 7 * 2 / 256
    assert "The best of the 7 quantities, NC1, has mean rho −0.90" in told
    assert told.endswith("it is not shown to beat depth.")
    five = against_depth([nc1, *others[:4]], depth)  # p = 5 * 2 / 256
    assert five.endswith("it beats depth, also when corrected for the choice among 5.")


def test_the_best_is_the_one_furthest_on_the_expected_side() -> None:
    depth = order("depth", 1, [0.5, 0.5])
    wrong, right = order("nc1", -1, [0.9, 0.9]), order("knn", 1, [0.3, 0.4])
    assert "kNN accuracy, does no better: mean rho +0.35" in against_depth([wrong, right], depth)


def test_one_seed_has_a_lead_and_no_interval() -> None:
    told = against_depth([order("knn", 1, [0.8])], order("depth", 1, [0.5]))
    assert told.endswith("+0.30 beyond depth on the expected side: it is not shown to beat depth.")


def test_depth_without_a_rho_says_nothing_and_alone_speaks_for_itself() -> None:
    knn = order("knn", 1, [0.8])
    assert against_depth([knn], order("depth", 1, [])) == ""
    assert against_depth([order("knn", 1, [])], order("depth", 1, [0.5])).endswith("(no interval).")
