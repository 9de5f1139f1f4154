"""Plans drawn ahead are those that would have been drawn one by one."""

import gc
import weakref
from typing import Any

import numpy as np
import pytest
import torch

from layermix import InputError
from layermix.mixing import Cut, Pairing, Plan, Planner, Schedule
from layermix.mixing.blends import pairs


class First(Pairing):
    """Everybody's partner is the first, which is no permutation."""

    def __call__(self, rng: np.random.Generator, size: int, seen: Any) -> np.ndarray:
        return np.zeros(size, dtype=np.int64)


SETTINGS: list[dict[str, Any]] = [
    {},
    {"per": "sample"},
    {"per": "epoch"},
    {"blend": Cut()},
    {"probability": 0.5},
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
        "still": plan.still,
    }


def alone(step: int, size: int, **settings: Any) -> Plan:
    """Draw the plan of a step with a planner that draws nothing else."""
    planner = Planner(["input", "final"], seed=3, **settings)
    planner.clock.step = step
    return planner.draw(size)


@pytest.mark.filterwarnings("ignore:.* no epoch was begun")
@pytest.mark.parametrize("settings", SETTINGS)
def test_each_is_the_plan_of_its_step(settings: dict[str, Any]) -> None:
    planner = Planner(["input", "final"], seed=3, **settings)
    for step, size in enumerate([4] * 9 + [5] + [4] * 6 + [1, 1]):
        assert told(planner.draw(size)) == told(alone(step, size, **settings))


@pytest.mark.parametrize("point", ["input", "final"])
@pytest.mark.parametrize("settings", SETTINGS)
def test_each_mixes_as_its_ratio_and_partners_say(settings: dict[str, Any], point: str) -> None:
    linear: dict[str, Any] = settings | {"blend": "linear"}
    planner = Planner([point], seed=3, **linear)
    x, g = torch.randn(6, 2, 3, requires_grad=True), torch.randn(6, 2, 3)
    for _ in range(7):
        plan = planner.draw(6)
        ratio = plan.ratio.float().reshape(-1, 1, 1)
        expected = ratio * x + (1 - ratio) * x[plan.partner]
        mixed = plan.carry_out(x).values
        torch.testing.assert_close(mixed, expected)
        torch.testing.assert_close(*(torch.autograd.grad(y, x, g) for y in (mixed, expected)))


def test_new_weights_hold_from_the_next_draw_on() -> None:
    planner = Planner(["input", "final"], seed=3)
    points = []
    for weights in ({"input": 1.0}, {"final": 1.0}, {"input": 1.0}):
        planner.choice.reweigh(weights)
        points += [planner.draw(4).point for _ in range(5)]
    assert points == ["input"] * 5 + ["final"] * 5 + ["input"] * 5


def test_the_ratio_of_an_epoch_holds_until_the_next_and_no_longer() -> None:
    planner, ratios = Planner(["final"], per="epoch", seed=3), []
    for _ in range(3):
        planner.next_epoch()
        ratios.append([float(planner.draw(4).ratio) for _ in range(5)])
    assert [len(set(epoch)) for epoch in ratios] == [1, 1, 1]
    assert len({epoch[0] for epoch in ratios}) == 3


def test_a_state_knows_what_was_taken_and_not_what_was_drawn() -> None:
    planner, other = Planner(["final"], seed=3), Planner(["final"], seed=8)
    for _ in range(5):
        planner.draw(4)
        other.draw(4)
    state = planner.state_dict()
    assert state["clock"]["step"] == 5
    other.load_state_dict(state)
    assert [told(other.draw(4)) for _ in range(5)] == [told(planner.draw(4)) for _ in range(5)]


def test_few_are_drawn_in_vain() -> None:
    drawn = []

    class Counted(Cut):
        def draw(
            self, rng: np.random.Generator, rows: tuple[int, ...], batch: int
        ) -> dict[str, np.ndarray]:
            drawn.append(batch)
            return super().draw(rng, rows, batch)

    for taken in (1, 2, 3, 10, 50, 200):
        drawn.clear()
        planner = Planner(["final"], blend=Counted(), seed=3)
        for _ in range(taken):
            planner.draw(4)
        assert taken <= len(drawn) <= min(2 * taken, taken + 64)


def test_draws_of_a_blend_may_differ_in_number_and_shape() -> None:
    class Boxes(Cut):
        def draw(
            self, rng: np.random.Generator, rows: tuple[int, ...], batch: int
        ) -> dict[str, np.ndarray]:
            more = {"more": np.ones(())} if rng.random() < 0.5 else {}
            return {"boxes": rng.random((rng.integers(1, 5), 4)), **more}

    planner = Planner(["final"], blend=Boxes(), seed=3)
    found = [told(planner.draw(4)) for _ in range(20)]
    assert found == [told(_drawn_alone(step, Boxes())) for step in range(20)]
    assert len({len(each["draws"]["boxes"]) for each in found}) > 1


def _drawn_alone(step: int, blend: Cut) -> Plan:
    planner = Planner(["final"], blend=blend, seed=3)
    planner.clock.step = step
    return planner.draw(4)


def test_nothing_is_kept_of_a_plan_that_was_taken() -> None:
    planner = Planner(["final"], seed=3)
    taken = [weakref.ref(planner.draw(4)) for _ in range(20)]
    gc.collect()
    assert not any(each() for each in taken)


def test_a_planner_that_is_set_back_draws_the_same_anew() -> None:
    planner = Planner(["final"], seed=3)
    first = [planner.draw(4) for _ in range(5)]
    planner.clock.step = 2
    again = planner.draw(4)
    assert again is not first[2]
    assert told(again) == told(first[2])


@pytest.mark.parametrize("point", ["input", "final"])
@pytest.mark.parametrize("wrong", [-1, 4])
def test_partners_outside_the_batch_are_refused_when_they_are_drawn(wrong: int, point: str) -> None:
    class Outside(Pairing):
        def __call__(self, rng: np.random.Generator, size: int, seen: Any) -> np.ndarray:
            return np.array([0, 1, wrong, 2])

    with pytest.raises(InputError, match=f"partner has {wrong}, but the examples of a batch of 4"):
        Planner([point], partner=Outside()).draw(4)


@pytest.mark.parametrize(("point", "again"), [("input", 1), ("final", 0)])
def test_an_inverse_that_is_not_there_is_looked_for_once(
    point: str, again: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, looked = Planner([point], partner=First()).draw(4), []
    monkeypatch.setattr(pairs, "inverse_of", lambda partner: looked.append(partner))
    x = torch.randn(4, 2, requires_grad=True)
    plan.carry_out(x).values.sum().backward()
    assert len(looked) == again


def test_a_schedule_is_asked_at_each_step() -> None:
    asked = []

    class Told(Schedule):
        def at(self, clock: Any) -> float:
            asked.append(clock.step)
            return 1.0

    planner = Planner(["final"], alpha=Told(), seed=3)
    asked.clear()
    for step in range(4):
        planner.draw(4)
        assert set(asked) == set(range(step + 1))
