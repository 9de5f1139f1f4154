"""PlanSampler draws points, ratios and partners from the specified distributions."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

import layermix as lm
from layermix.mixing import PlanSampler


def ratios(sampler: PlanSampler, count: int, batch_size: int = 2) -> np.ndarray:
    """Return the ratios of `count` successive plans."""
    return torch.stack([sampler.draw(batch_size).ratio for _ in range(count)]).numpy()


def beta_p_value(sample: np.ndarray, alpha: float) -> float:
    """Return the p-value of a Kolmogorov-Smirnov test of a sample for Beta(alpha, alpha).

    The distribution is symmetric, so only values below 0.5 are tested. In float32, values near 1
    are imprecise: 1.6% of the draws of Beta(0.2, 0.2) are rounded to 1.
    """
    lower = sample[sample < 0.5].astype(np.float64)
    half = stats.binomtest(len(lower), len(sample)).pvalue
    shape = stats.kstest(lower, lambda v: 2 * stats.beta(alpha, alpha).cdf(v)).pvalue
    return float(min(half, shape))


@pytest.mark.parametrize("alpha", [0.2, 1.0, 2.0])
def test_float64_ratios_are_beta_distributed(alpha: float) -> None:
    sampler = PlanSampler(["final"], alpha=alpha, per="sample", seed=0)
    sample = sampler.draw(20_000, dtype=torch.float64).ratio.numpy()
    assert sample.dtype == np.float64
    assert stats.kstest(sample, stats.beta(alpha, alpha).cdf).pvalue > 0.01


@pytest.mark.parametrize("alpha", [0.2, 1.0, 2.0])
def test_ratios_per_sample_are_beta_distributed(alpha: float) -> None:
    sample = PlanSampler(["final"], alpha=alpha, per="sample", seed=1).draw(20_000).ratio.numpy()
    assert beta_p_value(sample, alpha) > 0.01
    assert beta_p_value(sample, 1.2 * alpha) < 1e-6  # the test rejects another alpha


@pytest.mark.parametrize("alpha", [0.2, 1.0, 2.0])
def test_ratios_per_batch_are_beta_distributed(alpha: float) -> None:
    assert beta_p_value(ratios(PlanSampler(["final"], alpha=alpha, seed=1), 3000), alpha) > 0.01


def test_ratios_per_epoch_are_beta_distributed() -> None:
    sampler, sample = PlanSampler(["final"], alpha=2.0, per="epoch"), []
    for epoch in range(2000):
        sampler.set_epoch(epoch)
        sample.append(float(sampler.draw(1).ratio))
    assert beta_p_value(np.array(sample), 2.0) > 0.01


@pytest.mark.parametrize(
    ("point", "alpha"), [("input", 1.0), ("layer1", 2.0), ("final", 2.0), ("logits", 2.0)]
)
def test_default_alpha_is_one_at_input_and_two_elsewhere(point: str, alpha: float) -> None:
    samplers = (PlanSampler([point], per="sample", seed=seed) for seed in range(10))
    sample = torch.cat([sampler.draw(20_000).ratio for sampler in samplers]).numpy()
    assert beta_p_value(sample, alpha) > 0.01


def test_each_point_of_a_list_has_its_default_alpha() -> None:
    sampler = PlanSampler(["input", "final"])
    plans = [sampler.draw(1) for _ in range(4000)]
    for point, alpha in (("input", 1.0), ("final", 2.0)):
        sample = np.array([float(plan.ratio) for plan in plans if plan.point == point])
        assert beta_p_value(sample, alpha) > 0.01


def test_uniform_ratios_are_uniform() -> None:
    sample = PlanSampler(["final"], ratio="uniform", per="sample").draw(20_000).ratio.numpy()
    assert stats.kstest(sample, "uniform").pvalue > 0.01


@pytest.mark.parametrize("ratio", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("per", ["batch", "sample", "epoch"])
def test_fixed_ratio_is_constant(ratio: float, per: Any) -> None:
    drawn = ratios(PlanSampler(["final"], ratio=ratio, per=per), 5)
    assert (drawn == np.float32(ratio)).all()


@pytest.mark.parametrize(("per", "shape"), [("batch", ()), ("epoch", ()), ("sample", (7,))])
def test_shape_of_ratio_depends_on_per(per: Any, shape: tuple[int, ...]) -> None:
    plan = PlanSampler(["final"], per=per).draw(7)
    assert plan.ratio.shape == shape
    assert plan.ratio.dtype == torch.float32
    assert PlanSampler(["final"], per=per).draw(7, dtype=torch.float64).ratio.dtype == torch.float64
    assert ((plan.ratio >= 0) & (plan.ratio <= 1)).all()


def test_ratios_per_batch_are_redrawn_for_each_batch() -> None:
    assert len(set(ratios(PlanSampler(["final"]), 50).tolist())) == 50


def test_ratio_per_epoch_is_constant_within_an_epoch() -> None:
    sampler = PlanSampler(["final"], per="epoch")
    epochs = []
    for epoch in range(5):
        sampler.set_epoch(epoch)
        epochs.append(set(ratios(sampler, 10).tolist()))
    assert all(len(epoch) == 1 for epoch in epochs)
    assert len(set.union(*epochs)) == 5


def test_each_point_has_a_separate_ratio_per_epoch() -> None:
    sampler = PlanSampler(["input", "final"], per="epoch")
    sampler.set_epoch(0)
    plans = [sampler.draw(3) for _ in range(40)]
    found = {(plan.point, float(plan.ratio)) for plan in plans}
    assert {point for point, _ in found} == {"input", "final"}
    assert len(found) == 2


@pytest.mark.parametrize("weights", [None, [1.0, 1.0, 2.0], [0.0, 3.0, 1.0]])
def test_points_are_drawn_by_their_weights(weights: list[float] | None) -> None:
    points = ["input", "layer1", "final"]
    sampler = PlanSampler(points, weights=weights)
    drawn = [sampler.draw(1).point for _ in range(4000)]
    shares = np.array(weights or [1.0] * 3) / sum(weights or [1.0] * 3)
    possible = shares > 0
    counts = np.array([drawn.count(point) for point in points])
    assert counts[~possible].sum() == 0
    assert stats.chisquare(counts[possible], 4000 * shares[possible]).pvalue > 0.01


@pytest.mark.parametrize("size", [1, 2, 3, 8, 17])
def test_partner_is_a_permutation(size: int) -> None:
    sampler = PlanSampler(["final"])
    for _ in range(20):
        partner = sampler.draw(size).partner
        assert partner.dtype == torch.int64
        assert partner.sort().values.equal(torch.arange(size))


def test_permutations_are_equally_likely() -> None:
    sampler = PlanSampler(["final"])
    drawn = [tuple(sampler.draw(3).partner.tolist()) for _ in range(3000)]
    counts = [drawn.count(permutation) for permutation in set(drawn)]
    assert len(counts) == math.factorial(3)
    assert stats.chisquare(counts).pvalue > 0.01


INVALID: list[tuple[dict[str, Any], str]] = [
    *(
        (
            {"alpha": alpha},
            f"alpha is {float(alpha)!r}, but Beta(alpha, alpha) needs a finite alpha > 0: use 1.0 "
            "for uniform ratios, or do not mix at all",
        )
        for alpha in (0, 0.0, -1.0, math.nan, math.inf)
    ),
    *(
        ({"ratio": ratio}, f"the ratio is {ratio!r}, but must be a number in [0, 1]")
        for ratio in (-0.1, 1.1, math.nan, 2)
    ),
    ({"ratio": "unifrom"}, "unknown ratio 'unifrom': did you mean 'uniform'?"),
    ({"ratio": 0.5, "alpha": 1.0}, "give alpha (1.0) or ratio (0.5), not both"),
    *(
        (
            {"weights": weights},
            f"weights are {weights!r}, but 2 mix points need 2 numbers >= 0, not all of them 0",
        )
        for weights in ([1.0], [1.0, 2.0, 3.0], [-1.0, 2.0], [0.0, 0.0], [math.nan, 1.0], [])
    ),
    ({"per": "bacth"}, "unknown value of per 'bacth': did you mean 'batch'?"),
]


@pytest.mark.parametrize(("options", "text"), INVALID)
def test_invalid_settings_raise_an_error(options: dict[str, Any], text: str) -> None:
    with pytest.raises(lm.InputError) as error:
        PlanSampler(["input", "final"], **options)
    assert str(error.value) == text


@pytest.mark.parametrize("size", [0, -1])
def test_empty_batch_raises_an_error(size: int) -> None:
    with pytest.raises(lm.InputError, match=f"^batch_size is {size}, but must be the number"):
        PlanSampler(["final"]).draw(size)
