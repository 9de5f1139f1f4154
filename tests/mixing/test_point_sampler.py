"""Points are drawn by weights, and changes of the weights do not change other draws."""

import json
import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

import layermix as lm
from layermix.mixing import PlanSampler, Ramp

POINTS = ["input", "layer1", "layer2", "final"]


def chi_square_p_value(sampler: PlanSampler, shares: dict[str, float], count: int = 4000) -> float:
    """Return the p-value of Pearson's chi-square test for the shares of the drawn points.

    The p-value is 0 if a point with share 0 was drawn.
    """
    drawn = [sampler.draw(1).point for _ in range(count)]
    possible = [point for point in shares if shares[point]]
    if set(drawn) - set(possible):
        return 0.0
    expected = np.array([shares[point] for point in possible])
    counts = [drawn.count(point) for point in possible]
    return float(stats.chisquare(counts, count * expected / expected.sum()).pvalue)


@pytest.mark.parametrize(
    "weights",
    [
        {"input": 1, "layer1": 2, "layer2": 3, "final": 4},
        {"input": 0.1, "final": 0.3},
        {"layer2": 5.0, "layer1": 0.0, "input": 2.5},
        {"final": np.float32(0.7), "input": np.float64(1e-3)},
    ],
)
def test_reweigh_changes_the_distribution_of_points(weights: dict[str, float]) -> None:
    sampler = PlanSampler(POINTS, seed=2)
    assert chi_square_p_value(sampler, dict.fromkeys(POINTS, 1.0)) > 0.01
    sampler.reweigh(weights)
    assert chi_square_p_value(sampler, {point: weights.get(point, 0.0) for point in POINTS}) > 0.01
    assert (
        chi_square_p_value(sampler, dict.fromkeys(POINTS, 1.0)) < 1e-6
    )  # the test rejects other weights


@pytest.mark.parametrize("only", POINTS)
def test_points_with_zero_weight_are_never_drawn(only: str) -> None:
    sampler = PlanSampler(POINTS)
    sampler.reweigh({only: 0.2})
    assert {sampler.draw(1).point for _ in range(500)} == {only}


def test_weights_are_normalized_over_all_points() -> None:
    choice = PlanSampler(POINTS, weights=[1, 1, 2, 0]).methods[0].points
    assert choice.weights == {"input": 0.25, "layer1": 0.25, "layer2": 0.5, "final": 0.0}
    choice.reweigh({"final": 3, "input": 1})
    assert choice.weights == {"input": 0.25, "layer1": 0.0, "layer2": 0.0, "final": 0.75}


def test_history_records_every_reweigh() -> None:
    choice = PlanSampler(["input", "final"]).methods[0].points
    for weight in (1.0, 0.0, 3.0):
        choice.reweigh({"input": weight, "final": 1.0})
    assert [list(weights.values()) for weights in choice.history] == [
        [0.5, 0.5],
        [0.5, 0.5],
        [0.0, 1.0],
        [0.75, 0.25],
    ]


@pytest.mark.parametrize("per", ["batch", "sample", "epoch"])
def test_reweigh_does_not_change_other_draws(per: Any) -> None:
    one, other = (PlanSampler(POINTS, per=per, seed=3, alpha=1.0, ratio=None) for _ in range(2))
    for step in range(30):
        if step in (0, 7, 8):
            other.reweigh({"layer1": step + 1.0, "final": 2.0})
        if step == 20:
            other.reweigh(dict.fromkeys(POINTS, 1.0))
        if step % 10 == 0:
            one.set_epoch(step // 10)
            other.set_epoch(step // 10)
        mine, theirs = one.draw(5), other.draw(5)
        assert mine.partner.equal(theirs.partner)
        if per != "epoch" or mine.point == theirs.point:  # each point has a separate ratio
            assert mine.ratio.equal(theirs.ratio)
        if step >= 20:
            assert mine.point == theirs.point


@pytest.mark.parametrize("per", ["batch", "sample", "epoch"])
def test_state_dict_restores_weights_and_history(per: Any) -> None:
    sampler, resumed = (PlanSampler(POINTS, per=per, seed=seed) for seed in (3, 99))
    sampler.set_epoch(0)
    sampler.reweigh({"layer1": 1.0, "layer2": 2.0, "final": 4.0})
    sampler.draw(4)
    sampler.drop(sampler.methods[0], {"layer1": "it is never called"})
    sampler.draw(4)
    resumed.load_state_dict(json.loads(json.dumps(sampler.state_dict())))
    assert resumed.points == ("input", "layer2", "final")
    assert resumed.methods[0].points.__dict__ == sampler.methods[0].points.__dict__
    for epoch in (1, 2):
        for _ in range(10):
            mine, theirs = sampler.draw(4), resumed.draw(4)
            assert (mine.point, mine.ratio.tolist()) == (theirs.point, theirs.ratio.tolist())
        sampler.set_epoch(epoch)
        resumed.set_epoch(epoch)


def test_state_dict_is_not_changed_by_later_weights() -> None:
    sampler = PlanSampler(POINTS)
    state = sampler.state_dict()
    before = json.dumps(state)
    sampler.reweigh({"final": 1.0})
    sampler.drop(sampler.methods[0], {"input": "integers"})
    assert json.dumps(state) == before


@pytest.mark.parametrize("points", [["input", "final"], POINTS[::-1]])
def test_state_dict_of_other_points_raises_an_error(points: list[str]) -> None:
    with pytest.raises(lm.InputError) as error:
        PlanSampler(POINTS).load_state_dict(PlanSampler(points).state_dict())
    assert str(error.value) == (
        f"the state has the mix points {points}, but this mixer has {POINTS}: "
        "give the same points in the same order"
    )


def test_drop_keeps_the_proportions_of_remaining_weights() -> None:
    sampler = PlanSampler(POINTS, weights=[4, 1, 3, 0])
    sampler.drop(sampler.methods[0], {"input": "integers"})
    assert sampler.points == ("layer1", "layer2", "final")
    assert sampler.methods[0].points.weights == {"layer1": 0.25, "layer2": 0.75, "final": 0.0}
    assert sampler.methods[0].points.history == [sampler.methods[0].points.weights]
    assert sampler.methods[0].points.dropped == {"input": "integers"}
    assert chi_square_p_value(sampler, sampler.methods[0].points.weights) > 0.01


@pytest.mark.parametrize("per", ["batch", "sample", "epoch"])
def test_drop_gives_same_draws_as_zero_weight(per: Any) -> None:
    dropped, without = (PlanSampler(POINTS, per=per, seed=5) for _ in range(2))
    dropped.set_epoch(0)
    without.set_epoch(0)
    dropped.drop(dropped.methods[0], {"layer1": "it is called 2 times"})
    without.reweigh({"input": 1.0, "layer2": 1.0, "final": 1.0})
    for step in range(20):
        if step == 10:
            dropped.set_epoch(1)
            without.set_epoch(1)
        mine, theirs = dropped.draw(5), without.draw(5)
        assert (mine.point, mine.ratio.tolist()) == (theirs.point, theirs.ratio.tolist())
        assert mine.partner.equal(theirs.partner)


def test_drop_of_no_points_changes_nothing() -> None:
    choice = PlanSampler(POINTS, weights=[1, 2, 3, 4]).methods[0].points
    before = choice.state_dict()
    choice.drop({})
    assert choice.state_dict() == before


@pytest.mark.parametrize("weights", [{"input": 1.0}, {"input": 1.0, "layer1": 1.0}])
def test_drop_of_all_weighted_points_raises_an_error(weights: dict[str, float]) -> None:
    choice = PlanSampler(POINTS).methods[0].points
    choice.reweigh(weights)
    before = choice.state_dict()
    with pytest.raises(lm.InputError) as error:
        choice.drop({"input": "it is made of integers", "layer1": "it is never called"})
    assert str(error.value) == (
        "no mix point with a weight above 0 is left, because these cannot be mixed: 'input': it is "
        "made of integers; 'layer1': it is never called. layermix.points(model, x, all=True) lists "
        "all points of the model"
    )
    assert choice.state_dict() == before


SUM_RULE = "but must sum to a finite number > 0: give at least one point a weight"
INVALID: list[tuple[Any, str]] = [
    ({"fnal": 1.0}, "unknown mix point of this mixer 'fnal': did you mean 'final'?"),
    (
        {"layer1": 1.0, "input": 0},
        "mix point 'input' was dropped: it is made of integers. Leave it out of the weights",
    ),
    *(
        (
            {"layer1": 1.0, "final": weight},
            f"the weight of 'final' is {weight!r}, but must be a finite number >= 0",
        )
        for weight in (-0.5, math.nan, math.inf, "1", None)
    ),
    ({}, f"the weights {{}} sum to 0.0, {SUM_RULE}"),
    ({"final": 0}, f"the weights {{'final': 0}} sum to 0.0, {SUM_RULE}"),
    (
        {"layer1": 1e308, "final": 1e308},
        f"the weights {{'layer1': 1e+308, 'final': 1e+308}} sum to inf, {SUM_RULE}",
    ),
    (
        [0.5, 0.5],
        "the weights are a list, but must be a mapping from mix points to numbers, such as "
        "{'layer1': 1.0}",
    ),
]


@pytest.mark.parametrize(("weights", "text"), INVALID)
def test_invalid_weights_raise_an_error_and_change_nothing(weights: Any, text: str) -> None:
    choice = PlanSampler(POINTS).methods[0].points
    choice.drop({"input": "it is made of integers"})
    before = choice.state_dict()
    with pytest.raises(lm.InputError) as error:
        choice.reweigh(weights)
    assert str(error.value) == text
    assert choice.state_dict() == before


def test_scheduled_weights_do_not_restore_dropped_points() -> None:
    weights = Ramp((1.0, 1.0, 2.0, 0.0), (3.0, 1.0, 0.0, 4.0), over=3)
    sampler = PlanSampler(POINTS, weights=weights, seed=0)
    sampler.drop(sampler.methods[0], {"input": "part of an example bypasses it"})
    sampler.set_epoch(0)
    assert chi_square_p_value(sampler, {"layer1": 1, "layer2": 2}) > 1e-3
    sampler.set_epoch(3)
    assert chi_square_p_value(sampler, {"layer1": 1, "final": 4}) > 1e-3
