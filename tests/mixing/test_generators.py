"""Generators of the sampler: seeding, saving, resuming and sharing by ranks."""

import io
import json
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import layermix as lm
from layermix.mixing import PlanSampler

SETTINGS: list[dict[str, Any]] = [
    {"methods": ["final"], "per": "batch"},
    {"methods": ["final"], "per": "sample"},
    {"methods": ["final"], "per": "epoch"},
    {"methods": ["input", "layer1", "final"], "per": "batch", "weights": [1, 2, 3]},
    {"methods": ["input", "layer1", "final"], "per": "sample", "weights": [0.5, 0.5, 0]},
    {"methods": ["input", "layer1", "final"], "per": "epoch", "weights": [3, 2, 1]},
]
ALL_SETTINGS = pytest.mark.parametrize("settings", SETTINGS)


def draws(sampler: PlanSampler, epochs: int = 3) -> list[tuple[str, list[float], list[int]]]:
    """Return three plans of different batch sizes for each epoch."""
    found = []
    begun = 0 if sampler.clock.epoch is None else sampler.clock.epoch + 1
    for epoch in range(begun, begun + epochs):
        for size in (4, 5, 3):
            plan = sampler.draw(size)
            found.append((plan.point, plan.ratio.reshape(-1).tolist(), plan.partner.tolist()))
        sampler.set_epoch(epoch)
    return found


def json_round_trip(state: dict[str, Any]) -> dict[str, Any]:
    return json.loads(json.dumps(state))


def torch_round_trip(state: dict[str, Any]) -> dict[str, Any]:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=True)


@ALL_SETTINGS
def test_same_seed_gives_same_draws(settings: dict[str, Any]) -> None:
    assert draws(PlanSampler(**settings, seed=3)) == draws(PlanSampler(**settings, seed=3))


@ALL_SETTINGS
def test_different_seeds_give_different_draws(settings: dict[str, Any]) -> None:
    for one, other in zip(*(draws(PlanSampler(**settings, seed=s)) for s in (3, 4)), strict=True):
        assert one != other


@pytest.mark.parametrize("after", [0, 1, 2])
@pytest.mark.parametrize("saved", [json_round_trip, torch_round_trip])
@ALL_SETTINGS
def test_resumed_sampler_continues_the_same_draws(
    settings: dict[str, Any], saved: Callable[[dict[str, Any]], dict[str, Any]], after: int
) -> None:
    sampler, resumed = PlanSampler(**settings, seed=3), PlanSampler(**settings, seed=99)
    draws(sampler, after)
    sampler.draw(4)  # in the middle of an epoch
    resumed.load_state_dict(saved(sampler.state_dict()))
    assert draws(resumed) == draws(sampler)


def test_state_dict_is_not_changed_by_later_draws() -> None:
    sampler = PlanSampler(["input", "final"], per="epoch")
    state = sampler.state_dict()
    before = json_round_trip(state)
    draws(sampler)
    assert state == before


@pytest.mark.parametrize("state", [{}, {"seed": 0}, {"seed": 0, "clock": {}}])
def test_invalid_state_dict_raises_an_error(state: dict[str, Any]) -> None:
    with pytest.raises(lm.InputError) as error:
        PlanSampler(["final"]).load_state_dict(state)
    assert str(error.value) == (
        f"the state has the keys {sorted(state)}, but a mixer's state has seed, clock and methods: "
        "load the result of state_dict()"
    )


def test_points_do_not_change_partners_or_ratios() -> None:
    one, many = PlanSampler(["layer1"], seed=3), PlanSampler(["layer1", "layer2", "layer3"], seed=3)
    assert [draw[1:] for draw in draws(one)] == [draw[1:] for draw in draws(many)]


@pytest.mark.parametrize("per", ["batch", "sample"])
def test_set_epoch_changes_no_draws_per_batch_or_sample(per: Any) -> None:
    one, other = (PlanSampler(["input", "final"], per=per) for _ in range(2))
    other.set_epoch(0)
    mine, theirs = one.draw(5), other.draw(5)
    assert mine.point == theirs.point
    assert mine.ratio.equal(theirs.ratio)
    assert mine.partner.equal(theirs.partner)


def test_ratio_distribution_does_not_change_partners() -> None:
    settings: list[dict[str, Any]] = [{"alpha": 0.2}, {"per": "sample"}, {"ratio": 0.5}]
    partners = [[draw[2] for draw in draws(PlanSampler(["final"], **s))] for s in settings]
    assert partners[0] == partners[1] == partners[2]


@pytest.mark.parametrize("per", ["batch", "epoch"])
def test_ranks_share_points_and_ratios_but_not_partners(per: Any) -> None:
    points = ["input", "layer1", "final"]
    ranks = [draws(PlanSampler(points, per=per, rank=rank)) for rank in (0, 1, 2)]
    for one, two, three in zip(*ranks, strict=True):
        assert one[:2] == two[:2] == three[:2]
    assert len({str([draw[2] for draw in rank]) for rank in ranks}) == 3


@ALL_SETTINGS
def test_state_dict_of_one_rank_resumes_every_rank(settings: dict[str, Any]) -> None:
    first, second, resumed = (
        PlanSampler(**settings, seed=s, rank=r) for s, r in ((3, 0), (3, 1), (9, 1))
    )
    draws(first)
    draws(second)
    assert first.state_dict() == second.state_dict()
    resumed.load_state_dict(first.state_dict())
    assert draws(resumed) == draws(second)


def test_draws_do_not_depend_on_previous_batch_sizes() -> None:
    one, other = (PlanSampler(["input", "final"], per="sample", blend="cut") for _ in range(2))
    for size in (3, 8, 5):
        one.draw(size)
        other.draw(7)
    mine, theirs = one.draw(6), other.draw(6)
    assert mine.point == theirs.point
    for a, b in ((mine.ratio, theirs.ratio), (mine.partner, theirs.partner)):
        assert a.equal(b)
    assert mine.draws["center"].equal(theirs.draws["center"])


def test_ranks_have_different_ratios_per_sample() -> None:
    points = ["input", "layer1", "final"]
    ranks = [draws(PlanSampler(points, per="sample", rank=rank)) for rank in (0, 1)]
    for one, other in zip(*ranks, strict=True):
        assert one[0] == other[0]
        assert one[1] != other[1]


@ALL_SETTINGS
def test_global_generators_are_not_advanced(settings: dict[str, Any]) -> None:
    before = global_states()
    draws(PlanSampler(**settings))
    assert global_states() == before


@ALL_SETTINGS
def test_explicit_seed_ignores_global_generators(settings: dict[str, Any]) -> None:
    found = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        np.random.seed(seed)
        random.seed(seed)
        found.append(draws(PlanSampler(**settings, seed=5)))
    assert found[0] == found[1]


@ALL_SETTINGS
def test_default_seed_is_the_seed_of_torch(settings: dict[str, Any]) -> None:
    found = []
    for seed in (1, 2, 1):
        torch.manual_seed(seed)
        torch.rand(seed)  # the state of the global generator does not matter
        found.append(draws(PlanSampler(**settings)))
    assert found[0] == found[2] != found[1]
    assert found[0] == draws(PlanSampler(**settings, seed=1))


def global_states() -> tuple[Any, ...]:
    """Return the states of torch's, numpy's and Python's global generators."""
    return torch.get_rng_state().tolist(), str(np.random.get_state()), random.getstate()
