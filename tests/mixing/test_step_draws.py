"""The draws of a step depend only on seed and step, and the mix uses them."""

from typing import Any

import numpy as np
import pytest
import torch

from layermix import InputError
from layermix.mixing import Cut, Pairing, Plan, PlanSampler, Schedule


class FirstExample(Pairing):
    """The partner of every example is the first one, which is not a permutation."""

    def __call__(self, rng: np.random.Generator, size: int, values: Any) -> np.ndarray:
        return np.zeros(size, dtype=np.int64)


SETTINGS: list[dict[str, Any]] = [
    {},
    {"per": "sample"},
    {"per": "epoch"},
    {"blend": Cut()},
    {"prob": 0.5},
    {"blend": "noisy", "partner": "derangement"},
    {"partner": FirstExample()},
]


def plan_values(plan: Plan) -> dict[str, Any]:
    """Return all fields of a plan as plain values."""
    draws = {name: value.tolist() for name, value in plan.draws.items()}
    return {
        "point": plan.point,
        "ratio": plan.ratio.tolist(),
        "partner": plan.partner.tolist(),
        "draws": draws,
        "skip": plan.skip,
    }


def draw_step(step: int, size: int, **settings: Any) -> Plan:
    """Draw the plan of one step with a new sampler."""
    sampler = PlanSampler(["input", "final"], seed=3, **settings)
    sampler.clock.step = step
    return sampler.draw(size)


@pytest.mark.filterwarnings("ignore:.* depends on the epoch")
@pytest.mark.parametrize("settings", SETTINGS)
def test_plan_depends_only_on_seed_and_step(settings: dict[str, Any]) -> None:
    sampler = PlanSampler(["input", "final"], seed=3, **settings)
    for step, size in enumerate([4] * 9 + [5] + [4] * 6 + [1, 1]):
        assert plan_values(sampler.draw(size)) == plan_values(draw_step(step, size, **settings))


@pytest.mark.parametrize("point", ["input", "final"])
@pytest.mark.parametrize("settings", SETTINGS)
def test_mix_uses_ratio_and_partners_of_the_plan(settings: dict[str, Any], point: str) -> None:
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


def test_new_weights_apply_from_the_next_draw() -> None:
    sampler = PlanSampler(["input", "final"], seed=3)
    points = []
    for weights in ({"input": 1.0}, {"final": 1.0}, {"input": 1.0}):
        sampler.reweigh(weights)
        points += [sampler.draw(4).point for _ in range(5)]
    assert points == ["input"] * 5 + ["final"] * 5 + ["input"] * 5


def test_ratio_per_epoch_is_redrawn_at_each_epoch() -> None:
    sampler, ratios = PlanSampler(["final"], per="epoch", seed=3), []
    for epoch in range(3):
        sampler.set_epoch(epoch)
        ratios.append([float(sampler.draw(4).ratio) for _ in range(5)])
    assert [len(set(epoch)) for epoch in ratios] == [1, 1, 1]
    assert len({epoch[0] for epoch in ratios}) == 3


def test_state_dict_resumes_at_the_current_step() -> None:
    sampler, other = PlanSampler(["final"], seed=3), PlanSampler(["final"], seed=8)
    for _ in range(5):
        sampler.draw(4)
        other.draw(4)
    state = sampler.state_dict()
    assert state["clock"]["step"] == 5
    other.load_state_dict(state)
    assert [plan_values(other.draw(4)) for _ in range(5)] == [
        plan_values(sampler.draw(4)) for _ in range(5)
    ]


def test_blend_draws_may_differ_in_number_and_shape() -> None:
    class Boxes(Cut):
        def draw(
            self, rng: np.random.Generator, rows: tuple[int, ...], batch: int
        ) -> dict[str, np.ndarray]:
            more = {"more": np.ones(())} if rng.random() < 0.5 else {}
            return {"boxes": rng.random((rng.integers(1, 5), 4)), **more}

    sampler = PlanSampler(["final"], blend=Boxes(), seed=3)
    found = [plan_values(sampler.draw(4)) for _ in range(20)]
    assert found == [plan_values(_draw_step_with_blend(step, Boxes())) for step in range(20)]
    assert len({len(each["draws"]["boxes"]) for each in found}) > 1


def _draw_step_with_blend(step: int, blend: Cut) -> Plan:
    sampler = PlanSampler(["final"], blend=blend, seed=3)
    sampler.clock.step = step
    return sampler.draw(4)


def test_reset_of_the_step_repeats_the_draws() -> None:
    sampler = PlanSampler(["final"], seed=3)
    first = [sampler.draw(4) for _ in range(5)]
    sampler.clock.step = 2
    again = sampler.draw(4)
    assert again is not first[2]
    assert plan_values(again) == plan_values(first[2])


@pytest.mark.parametrize("point", ["input", "final"])
@pytest.mark.parametrize("wrong", [-1, 4])
def test_draw_rejects_partners_outside_the_batch(wrong: int, point: str) -> None:
    class Outside(Pairing):
        def __call__(self, rng: np.random.Generator, size: int, values: Any) -> np.ndarray:
            return np.array([0, 1, wrong, 2])

    with pytest.raises(InputError, match=f"partner has {wrong}, but the examples of a batch of 4"):
        PlanSampler([point], partner=Outside()).draw(4)


def test_schedule_is_evaluated_at_each_step() -> None:
    steps = []

    class RecordingSchedule(Schedule):
        def at(self, clock: Any) -> float:
            steps.append(clock.step)
            return 1.0

    sampler = PlanSampler(["final"], alpha=RecordingSchedule(), seed=3)
    steps.clear()
    for step in range(4):
        sampler.draw(4)
        assert set(steps) == set(range(step + 1))
