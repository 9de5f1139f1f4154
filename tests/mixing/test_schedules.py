"""Schedules change settings by step or epoch, and a resumed sampler continues them."""

import json
import math
import re
from typing import Any

import pytest
import torch

import layermix as lm
from layermix.mixing import Clock, PlanSampler, Ramp, Window


def test_ramp_interpolates_between_two_values() -> None:
    ramp = Ramp(2.0, 0.5, over=3, start=2, unit="step")
    values = [ramp.at(Clock(step=step)) for step in range(8)]
    assert values == [2.0, 2.0, 2.0, 1.5, 1.0, 0.5, 0.5, 0.5]


def test_cosine_ramp_follows_half_a_cosine() -> None:
    ramp = Ramp(0.0, 1.0, over=4, unit="step", shape="cosine")
    values = [ramp.at(Clock(step=step)) for step in range(6)]
    expected = [(1 - math.cos(math.pi * min(step, 4) / 4)) / 2 for step in range(6)]
    assert values == pytest.approx(expected)


def test_window_has_a_value_inside_and_outside() -> None:
    window = Window(0.5, start=1, stop=3, outside=0.1)
    assert [window.at(Clock(epoch=epoch)) for epoch in range(5)] == [0.1, 0.5, 0.5, 0.1, 0.1]


def test_unset_epoch_equals_zero() -> None:
    assert [Clock(epoch=epoch).time("epoch") for epoch in (None, 0, 7)] == [0, 0, 7]


@pytest.mark.parametrize("epoch", [-1, 1.5, "1", None, True])
def test_invalid_epoch_raises_an_error(epoch: Any) -> None:
    with pytest.raises(lm.InputError, match=r"^the epoch is .*, but must be a whole number >= 0"):
        PlanSampler(["input"]).set_epoch(epoch)


def is_mixed(sampler: PlanSampler, count: int) -> list[bool]:
    """Return True for each of `count` plans that mixes."""
    return [not sampler.draw(50).partner.equal(torch.arange(50)) for _ in range(count)]


def test_unmixed_step_has_ratio_one_and_identity_partner() -> None:
    plan = PlanSampler(["input"], prob=0.0, blend="cut").draw(4)
    assert plan.ratio == 1
    assert plan.partner.tolist() == [0, 1, 2, 3]
    x = torch.randn(4, 3, 5, 5)
    assert lm.mix(x, plan).equal(x)
    target = plan.target(torch.arange(4))
    assert target.dense(4).equal(torch.eye(4))


def test_prob_is_the_probability_of_mixing() -> None:
    share = sum(is_mixed(PlanSampler(["input"], prob=0.3), 2000)) / 2000
    assert abs(share - 0.3) < 4 * math.sqrt(0.3 * 0.7 / 2000)


def test_window_of_prob_limits_mixing_to_its_epochs() -> None:
    sampler = PlanSampler(["input"], prob=Window(start=2, stop=4))
    found = []
    for epoch in range(6):
        sampler.set_epoch(epoch)
        found.append(all(is_mixed(sampler, 3)))
    assert found == [False, False, True, True, False, False]


def test_unmixed_steps_do_not_change_other_draws() -> None:
    always = PlanSampler(["input", "final"], per="sample")
    later = PlanSampler(["input", "final"], per="sample", prob=Window(start=3, unit="step"))
    for step in range(6):
        one, other = always.draw(9), later.draw(9)
        assert one.point == other.point
        assert one.ratio.equal(other.ratio) == (step >= 3)
        assert one.partner.equal(other.partner) == (step >= 3)


def test_ramp_of_alpha_changes_the_ratio_variance() -> None:
    sampler = PlanSampler(["input"], alpha=Ramp(8.0, 0.05, over=2, start=1), per="sample")
    spread = []
    for epoch in range(4):
        sampler.set_epoch(epoch)
        spread.append(float(sampler.draw(4000).ratio.var()))
    expected = [1 / (4 * (2 * alpha + 1)) for alpha in (8.0, 8.0, 4.025, 0.05)]
    assert spread == pytest.approx(expected, rel=0.1)


def test_ramp_of_weights_changes_the_points() -> None:
    sampler = PlanSampler(["input", "final"], weights=Ramp((1.0, 0.0), (0.0, 1.0), over=2))
    found = []
    for epoch in range(3):
        sampler.set_epoch(epoch)
        found.append({sampler.draw(2).point for _ in range(40)})
    assert found == [{"input"}, {"input", "final"}, {"final"}]


@pytest.mark.parametrize("per", ["batch", "sample", "epoch"])
def test_resumed_sampler_continues_the_same_draws(per: Any) -> None:
    def make_sampler() -> PlanSampler:
        return PlanSampler(
            ["input", "final"],
            weights=Ramp((1.0, 0.0), (0.0, 1.0), over=3),
            alpha=Ramp(2.0, 0.2, over=10, unit="step"),
            prob=Ramp(0.0, 1.0, over=8, unit="step"),
            blend="noisy",
            per=per,
        )

    first, resumed = make_sampler(), make_sampler()
    for step in range(12):
        if step % 4 == 0:
            first.set_epoch(step // 4)
            if step > 5:
                resumed.set_epoch(step // 4)
        if step > 5:
            one, other = first.draw(6), resumed.draw(6)
            assert (one.point, one.blend) == (other.point, other.blend)
            assert one.ratio.equal(other.ratio)
            assert one.partner.equal(other.partner)
            assert all(one.draws[name].equal(other.draws[name]) for name in one.draws)
        else:
            first.draw(6)
        resumed.load_state_dict(json.loads(json.dumps(first.state_dict())))
    assert first.clock == resumed.clock == Clock(step=12, epoch=2)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Ramp(0.0, 1.0, over=0), "over is 0 epochs, but a ramp needs over >= 1"),
        (
            lambda: Ramp((0.0, 1.0), 1.0, over=2),
            "a ramp from (0.0, 1.0) to 1.0 needs the same number of values",
        ),
        (
            lambda: Ramp(0.0, 1.0, over=2, unit="steps"),  # pyright: ignore[reportArgumentType]
            "unknown unit of a schedule 'steps': did you mean 'step'?",
        ),
        (
            lambda: Window(start=3, stop=3),
            "a window from epoch 3 to 3 is empty: give stop > start",
        ),
        (
            lambda: PlanSampler(["input"], prob=1.5),
            "prob is 1.5, but must be a number in [0, 1]",
        ),
        (
            lambda: PlanSampler(["input"], alpha=Ramp((1.0,), (2.0,), over=2)),
            "alpha is (1.0,), but must be a number, or a schedule of numbers",
        ),
        (
            lambda: PlanSampler(["input", "final"], weights=Ramp(0.0, 1.0, over=2)),
            "weights are [0.0], but 2 mix points need 2 numbers >= 0, not all of them 0",
        ),
    ],
)
def test_invalid_schedule_raises_an_error(build: Any, message: str) -> None:
    with pytest.raises(lm.InputError) as error:
        build()
    assert str(error.value) == message


def test_reweigh_rejects_scheduled_weights() -> None:
    sampler = PlanSampler(["input", "final"], weights=Ramp((1.0, 0.0), (0.0, 1.0), over=2))
    with pytest.raises(lm.InputError, match=r"^the weights follow Ramp\(.*: build the mixer with"):
        sampler.reweigh({"input": 1.0})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"prob": Ramp(0.0, 2.0, over=4)}, "prob is 2.0, but must be a number"),
        ({"prob": Window(1.0, stop=3, outside=-1.0)}, "prob is -1.0, but must be"),
        ({"alpha": Ramp(1.0, 0.0, over=4)}, "alpha is 0.0, but Beta(alpha, alpha) needs a finite"),
    ],
)
def test_schedule_with_invalid_end_value_raises_an_error(
    settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(lm.InputError, match=f"^{re.escape(message)}"):
        PlanSampler(["final"], **settings)
