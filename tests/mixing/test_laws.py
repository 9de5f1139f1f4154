"""What a blend draws follows the law of its paper; ranks share what they must, and only that."""

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from layermix.mixing import (
    BLENDS,
    AppendClean,
    Blend,
    Cut,
    Fourier,
    Grid,
    Linear,
    MomentExchange,
    MultiMix,
    Noisy,
    Patches,
    PlanSampler,
    Resize,
)
from layermix.mixing.random_fields import normal_field, uniform_field


def drawn(blend: Blend, rows: int, seed: int = 0, per: Any = "sample") -> dict[str, np.ndarray]:
    """Return what a plan for a batch holds for a blend."""
    plan = PlanSampler(["input"], blend=blend, per=per, seed=seed).draw(rows)
    return {name: value.double().numpy() for name, value in plan.draws.items()}


def follows(sample: np.ndarray, law: Any) -> bool:
    """Tell whether a sample is of a law with this distribution function (Kolmogorov, Smirnov)."""
    return stats.kstest(sample.ravel(), law).pvalue > 0.01


def unrelated(*columns: np.ndarray) -> bool:
    """Tell whether columns are pairwise uncorrelated, by Spearman's test."""
    pairs = list(itertools.combinations(columns, 2))
    found = [float(np.asarray(stats.spearmanr(a, b))[1]) for a, b in pairs]
    return min(found) > 0.001 / len(pairs)


def shares(mask: Tensor, expected: float) -> list[float]:
    """Return for each position the p-value of its share of True over the rows, (R, ...)."""
    flat = mask.flatten(1)
    counts = flat.sum(0, dtype=torch.int64).tolist()
    return [float(stats.binomtest(n, len(flat), expected).pvalue) for n in counts]


def test_strengths_of_noise_are_beta_2_5_and_independent() -> None:
    strength = drawn(Noisy(), 4000)["strength"]
    assert strength.shape == (4000, 2)
    for column in strength.T:
        assert follows(column, stats.beta(2, 5).cdf)
        assert not follows(column, stats.beta(2, 4.5).cdf)  # the test would notice another law
    assert unrelated(*strength.T)


def test_strengths_are_drawn_anew_at_each_step() -> None:
    sampler = PlanSampler(["input"], blend="noisy", seed=1)
    steps = np.array([sampler.draw(3).draws["strength"].double().numpy() for _ in range(1500)])
    assert follows(steps, stats.beta(2, 5).cdf)
    assert unrelated(steps[:-1, 0], steps[1:, 0])


@pytest.mark.parametrize(("blend", "name", "dims"), [(Cut(), "center", 3), (Resize(), "place", 2)])
def test_places_are_uniform_along_each_dimension(blend: Blend, name: str, dims: int) -> None:
    place = drawn(blend, 4000)[name]
    assert place.shape == (4000, dims)
    assert all(follows(column, "uniform") for column in place.T)
    assert unrelated(*place.T)


def test_weights_of_many_are_dirichlet() -> None:
    """The weight of one of B examples is Beta(a, (B - 1) a), where the parameter is a."""
    weights = drawn(MultiMix(k=400, low=0.7, high=0.7), 10, per="batch")["weights"]
    assert weights.shape == (4000, 10)
    assert follows(weights[:, 0], stats.beta(0.7, 9 * 0.7).cdf)
    assert not follows(weights[:, 0], stats.beta(1, 9).cdf)
    np.testing.assert_allclose(weights.sum(1), 1, rtol=1e-6)


@pytest.mark.parametrize(("low", "high"), [(0.5, 2.0), (1.0, 3.0)])
def test_the_parameter_of_many_is_uniform_and_drawn_anew_for_each_mix(
    low: float, high: float
) -> None:
    """Of many weights the sum of squares tells the parameter: its mean is (a + 1) / (B a + 1)."""
    batch, blend = 2000, MultiMix(k=1, low=low, high=high)
    weights = blend.draw(np.random.default_rng(0), (), batch)["weights"][:500]
    squares = (weights**2).sum(1)
    parameter = (1 - squares) / (batch * squares - 1)
    assert follows(parameter, stats.uniform(low, high - low).cdf)
    assert unrelated(parameter[:-1], parameter[1:])


def test_a_parameter_too_small_for_its_gammas_leaves_one_example_uniformly() -> None:
    weights = drawn(MultiMix(k=500, low=1e-5, high=1e-5), 6, per="batch")["weights"]
    np.testing.assert_allclose(weights.max(1), 1)
    counts = np.bincount(weights.argmax(1), minlength=6)
    assert stats.chisquare(counts).pvalue > 0.01


def test_seeds_of_fields_are_uniform_and_no_two_alike() -> None:
    for blend, name in (
        (Noisy(), "seed"),
        (Fourier(), "seed"),
        (Grid(), "seed"),
        (Patches(), "seed"),
    ):
        seed = drawn(blend, 4000)[name]
        assert follows(seed / 2.0**62, "uniform")
        assert len(np.unique(seed)) == seed.size


def test_fields_are_uniform_and_normal() -> None:
    seeds = torch.arange(40)
    uniform, normal = uniform_field(seeds, (10, 10)), normal_field(seeds, (10, 10), torch.float64)
    assert follows(uniform.double().numpy(), "uniform")
    assert follows(normal.numpy(), "norm")
    assert unrelated(*(row.flatten().numpy() for row in uniform[:5]))


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_patches_alter_their_share_of_the_positions(share: float) -> None:
    """At a position in the middle, which blocks reach from all sides."""
    blend, rows = Patches(soft=False, share=share, block=3), 3000
    seed = torch.from_numpy(drawn(blend, rows)["seed"].astype(np.int64))
    kept = blend.mask((7, 7), torch.empty(0), torch.full((rows,), 0.5), {"seed": seed})
    assert min(shares(~kept[:, 3:4, 3:4], share)) > 0.01


@pytest.mark.parametrize("blend", [Grid(cells=4), Fourier()])
def test_every_place_is_kept_as_often_as_the_ratio_says(blend: Grid | Fourier) -> None:
    rows = 2000
    plan = PlanSampler(["input"], blend=blend, per="sample").draw(rows)
    kept = blend.mask((8, 8), torch.empty(0), torch.full((rows,), 0.25), plan.draws)
    assert min(shares(kept, 0.25)) > 0.01 / 64
    assert (kept.flatten(1).sum(1) == 16).all()


def test_cells_of_a_grid_are_chosen_uniformly() -> None:
    """Of four cells with two kept, each of the six choices is equally likely."""
    rows = 3000
    plan = PlanSampler(["input"], blend=Grid(cells=2), per="sample").draw(rows)
    kept = Grid(cells=2).mask((2, 2), torch.empty(0), torch.full((rows,), 0.5), plan.draws)
    choices = [tuple(row) for row in kept.flatten(1).tolist()]
    counts = [choices.count(choice) for choice in set(choices)]
    assert len(counts) == 6
    assert stats.chisquare(counts).pvalue > 0.01


def test_beside_draws_what_the_blend_in_it_draws() -> None:
    beside, plain = drawn(AppendClean(Cut()), 50), drawn(Cut(), 50)
    assert beside.keys() == plain.keys()
    np.testing.assert_array_equal(beside["center"], plain["center"])


@pytest.mark.parametrize("blend", [Linear(), MomentExchange()])
def test_the_others_draw_nothing(blend: Blend) -> None:
    assert drawn(blend, 5) == {}


DRAWING = [n for n, kind in BLENDS.items() if kind().draw(np.random.default_rng(0), (), 4)]


@pytest.mark.parametrize("blend", DRAWING)
def test_ranks_draw_for_their_blends_apart(blend: str) -> None:
    samplers = [PlanSampler(["input"], blend=blend, rank=rank) for rank in range(3)]
    plans = [sampler.draw(4) for sampler in samplers]
    for name in plans[0].draws:
        assert len({str(plan.draws[name].tolist()) for plan in plans}) == 3


def test_ranks_share_where_how_much_and_when() -> None:
    samplers = [
        PlanSampler(["input", "a", "final"], blend="cut", prob=0.5, rank=rank) for rank in range(3)
    ]
    steps = [[sampler.draw(64) for sampler in samplers] for _ in range(60)]
    for plans in steps:
        assert len({(plan.point, float(plan.ratio)) for plan in plans}) == 1
    mixed = sum(float(plans[0].ratio) < 1 for plans in steps)
    assert stats.binomtest(mixed, 60, 0.5).pvalue > 0.01


def test_a_blend_that_draws_more_shifts_nothing_else() -> None:
    plain, cut = (PlanSampler(["input", "final"], blend=blend) for blend in ("linear", "cut"))
    for _ in range(20):
        one, other = plain.draw(5), cut.draw(5)
        assert (one.point, float(one.ratio)) == (other.point, float(other.ratio))
        assert one.partner.equal(other.partner)
