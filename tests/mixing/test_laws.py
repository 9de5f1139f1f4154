"""Draws of blends have the distribution of their papers; ranks share points and ratios."""

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


def blend_draws(
    blend: Blend, rows: int, seed: int = 0, per: Any = "sample"
) -> dict[str, np.ndarray]:
    """Return the draws of a blend in a plan for a batch."""
    plan = PlanSampler(["input"], blend=blend, per=per, seed=seed).draw(rows)
    return {name: value.double().numpy() for name, value in plan.draws.items()}


def fits(sample: np.ndarray, distribution: Any) -> bool:
    """Return True if a sample fits a distribution, by the Kolmogorov-Smirnov test."""
    return stats.kstest(sample.ravel(), distribution).pvalue > 0.01


def uncorrelated(*columns: np.ndarray) -> bool:
    """Return True if columns are pairwise not correlated, by Spearman's test."""
    pairs = list(itertools.combinations(columns, 2))
    found = [float(np.asarray(stats.spearmanr(a, b))[1]) for a, b in pairs]
    return min(found) > 0.001 / len(pairs)


def share_p_values(mask: Tensor, expected: float) -> list[float]:
    """Return the p-value of the share of True over the rows (R, ...) for each position."""
    flat = mask.flatten(1)
    counts = flat.sum(0, dtype=torch.int64).tolist()
    return [float(stats.binomtest(n, len(flat), expected).pvalue) for n in counts]


def test_noise_strengths_are_independent_and_beta_2_5() -> None:
    strength = blend_draws(Noisy(), 4000)["strength"]
    assert strength.shape == (4000, 2)
    for column in strength.T:
        assert fits(column, stats.beta(2, 5).cdf)
        assert not fits(column, stats.beta(2, 4.5).cdf)  # the test rejects a different distribution
    assert uncorrelated(*strength.T)


def test_noise_strengths_are_redrawn_at_each_step() -> None:
    sampler = PlanSampler(["input"], blend="noisy", seed=1)
    steps = np.array([sampler.draw(3).draws["strength"].double().numpy() for _ in range(1500)])
    assert fits(steps, stats.beta(2, 5).cdf)
    assert uncorrelated(steps[:-1, 0], steps[1:, 0])


@pytest.mark.parametrize(("blend", "name", "dims"), [(Cut(), "center", 3), (Resize(), "place", 2)])
def test_positions_are_uniform_along_each_dimension(blend: Blend, name: str, dims: int) -> None:
    place = blend_draws(blend, 4000)[name]
    assert place.shape == (4000, dims)
    assert all(fits(column, "uniform") for column in place.T)
    assert uncorrelated(*place.T)


def test_multimix_weights_are_dirichlet() -> None:
    """With parameter a, the weight of one of B examples is Beta(a, (B - 1) a)."""
    weights = blend_draws(MultiMix(k=400, low=0.7, high=0.7), 10, per="batch")["weights"]
    assert weights.shape == (4000, 10)
    assert fits(weights[:, 0], stats.beta(0.7, 9 * 0.7).cdf)
    assert not fits(weights[:, 0], stats.beta(1, 9).cdf)
    np.testing.assert_allclose(weights.sum(1), 1, rtol=1e-6)


@pytest.mark.parametrize(("low", "high"), [(0.5, 2.0), (1.0, 3.0)])
def test_multimix_parameter_is_uniform_and_redrawn_for_each_mix(low: float, high: float) -> None:
    """The sum of squared weights has the mean (a + 1) / (B a + 1), which gives the parameter a."""
    batch, blend = 2000, MultiMix(k=1, low=low, high=high)
    weights = blend.draw(np.random.default_rng(0), (), batch)["weights"][:500]
    squares = (weights**2).sum(1)
    parameter = (1 - squares) / (batch * squares - 1)
    assert fits(parameter, stats.uniform(low, high - low).cdf)
    assert uncorrelated(parameter[:-1], parameter[1:])


def test_tiny_multimix_parameter_selects_one_example_uniformly() -> None:
    weights = blend_draws(MultiMix(k=500, low=1e-5, high=1e-5), 6, per="batch")["weights"]
    np.testing.assert_allclose(weights.max(1), 1)
    counts = np.bincount(weights.argmax(1), minlength=6)
    assert stats.chisquare(counts).pvalue > 0.01


def test_field_seeds_are_uniform_and_unique() -> None:
    for blend, name in (
        (Noisy(), "seed"),
        (Fourier(), "seed"),
        (Grid(), "seed"),
        (Patches(), "seed"),
    ):
        seed = blend_draws(blend, 4000)[name]
        assert fits(seed / 2.0**62, "uniform")
        assert len(np.unique(seed)) == seed.size


def test_random_fields_are_uniform_and_normal() -> None:
    seeds = torch.arange(40)
    uniform, normal = uniform_field(seeds, (10, 10)), normal_field(seeds, (10, 10), torch.float64)
    assert fits(uniform.double().numpy(), "uniform")
    assert fits(normal.numpy(), "norm")
    assert uncorrelated(*(row.flatten().numpy() for row in uniform[:5]))


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_patches_replace_their_share_of_positions(share: float) -> None:
    """The center position is tested, because blocks reach it from all sides."""
    blend, rows = Patches(soft=False, share=share, block=3), 3000
    seed = torch.from_numpy(blend_draws(blend, rows)["seed"].astype(np.int64))
    kept = blend.mask((7, 7), torch.empty(0), torch.full((rows,), 0.5), {"seed": seed})
    assert min(share_p_values(~kept[:, 3:4, 3:4], share)) > 0.01


@pytest.mark.parametrize("blend", [Grid(cells=4), Fourier()])
def test_each_position_is_kept_with_probability_ratio(blend: Grid | Fourier) -> None:
    rows = 2000
    plan = PlanSampler(["input"], blend=blend, per="sample").draw(rows)
    kept = blend.mask((8, 8), torch.empty(0), torch.full((rows,), 0.25), plan.draws)
    assert min(share_p_values(kept, 0.25)) > 0.01 / 64
    assert (kept.flatten(1).sum(1) == 16).all()


def test_grid_cells_are_chosen_uniformly() -> None:
    """If two of four cells are kept, the six choices are equally likely."""
    rows = 3000
    plan = PlanSampler(["input"], blend=Grid(cells=2), per="sample").draw(rows)
    kept = Grid(cells=2).mask((2, 2), torch.empty(0), torch.full((rows,), 0.5), plan.draws)
    choices = [tuple(row) for row in kept.flatten(1).tolist()]
    counts = [choices.count(choice) for choice in set(choices)]
    assert len(counts) == 6
    assert stats.chisquare(counts).pvalue > 0.01


def test_append_clean_draws_equal_those_of_its_blend() -> None:
    append_clean, plain = blend_draws(AppendClean(Cut()), 50), blend_draws(Cut(), 50)
    assert append_clean.keys() == plain.keys()
    np.testing.assert_array_equal(append_clean["center"], plain["center"])


@pytest.mark.parametrize("blend", [Linear(), MomentExchange()])
def test_linear_and_moment_exchange_draw_nothing(blend: Blend) -> None:
    assert blend_draws(blend, 5) == {}


DRAWING_BLENDS = [n for n, kind in BLENDS.items() if kind().draw(np.random.default_rng(0), (), 4)]


@pytest.mark.parametrize("blend", DRAWING_BLENDS)
def test_ranks_have_different_blend_draws(blend: str) -> None:
    samplers = [PlanSampler(["input"], blend=blend, rank=rank) for rank in range(3)]
    plans = [sampler.draw(4) for sampler in samplers]
    for name in plans[0].draws:
        assert len({str(plan.draws[name].tolist()) for plan in plans}) == 3


def test_ranks_share_points_ratios_and_mixed_steps() -> None:
    samplers = [
        PlanSampler(["input", "a", "final"], blend="cut", prob=0.5, rank=rank) for rank in range(3)
    ]
    steps = [[sampler.draw(64) for sampler in samplers] for _ in range(60)]
    for plans in steps:
        assert len({(plan.point, float(plan.ratio)) for plan in plans}) == 1
    mixed = sum(float(plans[0].ratio) < 1 for plans in steps)
    assert stats.binomtest(mixed, 60, 0.5).pvalue > 0.01


def test_blend_draws_do_not_change_other_draws() -> None:
    plain, cut = (PlanSampler(["input", "final"], blend=blend) for blend in ("linear", "cut"))
    for _ in range(20):
        one, other = plain.draw(5), cut.draw(5)
        assert (one.point, float(one.ratio)) == (other.point, float(other.ratio))
        assert one.partner.equal(other.partner)
