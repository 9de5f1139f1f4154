"""Tests of the false positive rate of predictions: at most 5% for unrelated quantities.

Gains and quantities of layers are drawn independently. They are equal for all seeds, with noise.
"""

import math

import numpy as np
import pytest

from layermix.geometry import QUANTITIES
from layermix.reporting.statistics import BySeed, Prediction, lead, over_studies, predict

SEEDS = 8


def by_seed(
    rng: np.random.Generator, layers: int, spread: float, noise: float
) -> dict[str, BySeed]:
    """Draw layer values that are equal for all seeds, with noise."""
    means = rng.normal(0, spread, layers)
    return {
        f"block{k}": dict(enumerate(means[k] + rng.normal(0, noise, SEEDS))) for k in range(layers)
    }


def unrelated_prediction(rng: np.random.Generator, layers: int) -> Prediction:
    """Predict gains (as fractions) from independent quantities."""
    accuracy = by_seed(rng, layers, spread=0.006, noise=0.005)
    accuracy["none"] = dict.fromkeys(range(SEEDS), 0.0)
    values = {quantity: by_seed(rng, layers, spread=1.0, noise=0.2) for quantity in QUANTITIES}
    return predict([f"block{k}" for k in range(layers)], values, accuracy)


def max_rate(count: int) -> float:
    """Return the allowed false positive rate: 0.05 plus three standard errors."""
    return 0.05 + 3 * math.sqrt(0.05 * 0.95 / count)


def any_shown(found: Prediction) -> bool:
    return any(row.side_holm for row in found.ranks)


def test_false_positive_rate_of_snnl_is_at_most_5_percent() -> None:
    rng = np.random.default_rng(0)
    found = [unrelated_prediction(rng, layers=5) for _ in range(200)]
    assert 0 < np.mean([each.snnl.side != 0 for each in found if each.snnl]) <= max_rate(200)
    assert not any(any_shown(each) for each in found)  # not possible with five layers


def test_family_wise_error_rate_is_at_most_5_percent() -> None:
    rng = np.random.default_rng(1)
    assert np.mean(
        [any_shown(unrelated_prediction(rng, layers=6)) for _ in range(100)]
    ) <= max_rate(100)


@pytest.mark.parametrize("gains", [1, -1])
@pytest.mark.parametrize("values", [1, -1])
def test_quantity_equal_to_depth_has_no_lead(values: int, gains: int) -> None:
    rng, layers = np.random.default_rng(2), 6
    studies = {}
    for study in range(8):
        accuracy = by_seed(rng, layers, spread=0.0, noise=0.01)
        for k, of_layer in enumerate(accuracy.values()):
            of_layer.update({s: v + 0.01 * k * gains for s, v in of_layer.items()})
        accuracy["none"] = dict.fromkeys(range(SEEDS), 0.0)
        copy = {f"block{k}": dict.fromkeys(range(SEEDS), float(values * k)) for k in range(layers)}
        found = predict(list(copy), {"knn": copy, "nc1": copy}, accuracy)
        assert found.lead is not None
        assert found.lead.estimate.mean <= 1e-12
        studies[str(study)] = found
    *ranks, depth = over_studies(studies)
    over = lead(ranks, depth)
    assert over is not None
    assert over.estimate.mean <= 1e-12
