"""What a step draws is a function of seed and step, and mixes as it says."""

from typing import Any

import numpy as np
import pytest
import torch

from layermix import InputError
from layermix.mixing import Cut, Pairing, Plan, PlanSampler, Schedule


class First(Pairing):
    """Everybody's partner is the first, which is no permutation."""

    def __call__(self, rng: np.random.Generator, size: int, values: Any) -> np.ndarray:
        return np.zeros(size, dtype=np.int64)


SETTINGS: list[dict[str, Any]] = [
    {},
    {"per": "sample"},
    {"per": "epoch"},
    {"blend": Cut()},
    {"prob": 0.5},
    {"blend": "noisy", "partner": "derangement"},
    {"partner": First()},
]


def told(plan: Plan) -> dict[str, Any]:
    """Return everything a plan says, as plain values."""
    draws = {name: value.tolist() for name, value in plan.draws.items()}
    return {
        "point": plan.point,
        "ratio": plan.ratio.tolist(),
        "partner": plan.partner.tolist(),
        "draws": draws,
        "skip": plan.skip,
    }


def alone(step: int, size: int, **settings: Any) -> Plan:
    """Draw the plan of a step with a sampler that draws nothing else."""
    sampler = PlanSampler(["input", "final"], seed=3, **settings)
    sampler.clock.step = step
    return sampler.draw(size)


@pytest.mark.filterwarnings("ignore:.* depends on the epoch")
@pytest.mark.parametrize("settings", SETTINGS)
def test_each_is_the_plan_of_its_step(settings: dict[str, Any]) -> None:
    sampler = PlanSampler(["input", "final"], seed=3, **settings)
    for step, size in enumerate([4] * 9 + [5] + [4] * 6 + [1, 1]):
        assert told(sampler.draw(size)) == told(alone(step, size, **settings))


@pytest.mark.parametrize("point", ["input", "final"])
@pytest.mark.parametrize("settings", SETTINGS)
def test_each_mixes_as_its_ratio_and_partners_say(settings: dict[str, Any], point: str) -> None:
    linear: dict[str, Any] = settings | {"blend": "linear"}
    sampler = PlanSampler([point], seed=3, **linear)
    x, g = torch.randn(6, 2, 3, requires_grad=True), torch.randn(6, 2, 3)
    for _ in range(7):
        plan = sampler.draw(6)
        ratio = plan.ratio.float().reshape(-1, 1, 1)
        expected = ratio * x + (1 - ratio) * x[plan.partner]
        mixed = plan.mix(x).values
        torch.testing.assert_close(mixed, expected)
        torch.testing.assert_close(*(torch.autograd.grad(y, x, g) for y in (mixed, expected)))


def test_new_weights_hold_from_the_next_draw_on() -> None:
    sampler = PlanSampler(["input", "final"], seed=3)
    points = []
    for weights in ({"input": 1.0}, {"final": 1.0}, {"input": 1.0}):
        sampler.reweigh(weights)
        points += [sampler.draw(4).point for _ in range(5)]
    assert points == ["input"] * 5 + ["final"] * 5 + ["input"] * 5


def test_the_ratio_of_an_epoch_holds_until_the_next_and_no_longer() -> None:
    sampler, ratios = PlanSampler(["final"], per="epoch", seed=3), []
    for epoch in range(3):
        sampler.set_epoch(epoch)
        ratios.append([float(sampler.draw(4).ratio) for _ in range(5)])
    assert [len(set(epoch)) for epoch in ratios] == [1, 1, 1]
    assert len({epoch[0] for epoch in ratios}) == 3


def test_a_state_knows_what_was_taken_and_not_what_was_drawn() -> None:
    sampler, other = PlanSampler(["final"], seed=3), PlanSampler(["final"], seed=8)
    for _ in range(5):
        sampler.draw(4)
        other.draw(4)
    state = sampler.state_dict()
    assert state["clock"]["step"] == 5
    other.load_state_dict(state)
    assert [told(other.draw(4)) for _ in range(5)] == [told(sampler.draw(4)) for _ in range(5)]


def test_draws_of_a_blend_may_differ_in_number_and_shape() -> None:
    class Boxes(Cut):
        def draw(
            self, rng: np.random.Generator, rows: tuple[int, ...], batch: int
        ) -> dict[str, np.ndarray]:
            more = {"more": np.ones(())} if rng.random() < 0.5 else {}
            return {"boxes": rng.random((rng.integers(1, 5), 4)), **more}

    sampler = PlanSampler(["final"], blend=Boxes(), seed=3)
    found = [told(sampler.draw(4)) for _ in range(20)]
    assert found == [told(_drawn_alone(step, Boxes())) for step in range(20)]
    assert len({len(each["draws"]["boxes"]) for each in found}) > 1


def _drawn_alone(step: int, blend: Cut) -> Plan:
    sampler = PlanSampler(["final"], blend=blend, seed=3)
    sampler.clock.step = step
    return sampler.draw(4)


def test_a_sampler_that_is_set_back_draws_the_same_anew() -> None:
    sampler = PlanSampler(["final"], seed=3)
    first = [sampler.draw(4) for _ in range(5)]
    sampler.clock.step = 2
    again = sampler.draw(4)
    assert again is not first[2]
    assert told(again) == told(first[2])


@pytest.mark.parametrize("point", ["input", "final"])
@pytest.mark.parametrize("wrong", [-1, 4])
def test_partners_outside_the_batch_are_refused_when_they_are_drawn(wrong: int, point: str) -> None:
    class Outside(Pairing):
        def __call__(self, rng: np.random.Generator, size: int, values: Any) -> np.ndarray:
            return np.array([0, 1, wrong, 2])

    with pytest.raises(InputError, match=f"partner has {wrong}, but the examples of a batch of 4"):
        PlanSampler([point], partner=Outside()).draw(4)


def test_a_schedule_is_asked_at_each_step() -> None:
    asked = []

    class Told(Schedule):
        def at(self, clock: Any) -> float:
            asked.append(clock.step)
            return 1.0

    sampler = PlanSampler(["final"], alpha=Told(), seed=3)
    asked.clear()
    for step in range(4):
        sampler.draw(4)
        assert set(asked) == set(range(step + 1))
