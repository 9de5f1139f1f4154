"""False alarms where geometry and gain are unrelated: at most one in twenty.

Gains and quantities of layers repeat from seed to seed, with noise, and are drawn independently.
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
    """Draw values of layers that repeat from seed to seed, with noise."""
    means = rng.normal(0, spread, layers)
    return {
        f"block{k}": dict(enumerate(means[k] + rng.normal(0, noise, SEEDS))) for k in range(layers)
    }


def unrelated(rng: np.random.Generator, layers: int) -> Prediction:
    """Predict gains (as shares) from independent quantities."""
    accuracy = by_seed(rng, layers, spread=0.006, noise=0.005)
    accuracy["none"] = dict.fromkeys(range(SEEDS), 0.0)
    values = {quantity: by_seed(rng, layers, spread=1.0, noise=0.2) for quantity in QUANTITIES}
    return predict([f"block{k}" for k in range(layers)], values, accuracy)


def most(worlds: int) -> float:
    """Return the largest share of false alarms at the 0.05 level, with three standard errors."""
    return 0.05 + 3 * math.sqrt(0.05 * 0.95 / worlds)


def any_shown(found: Prediction) -> bool:
    return any(row.side_holm for row in found.ranks)


def test_snnl_is_declared_in_one_unrelated_world_of_twenty_at_most() -> None:
    rng = np.random.default_rng(0)
    found = [unrelated(rng, layers=5) for _ in range(200)]
    assert 0 < np.mean([world.snnl.side != 0 for world in found if world.snnl]) <= most(200)
    assert not any(any_shown(world) for world in found)  # five layers cannot show any


def test_any_of_thirteen_quantities_is_declared_in_one_world_of_twenty_at_most() -> None:
    rng = np.random.default_rng(1)
    assert np.mean([any_shown(unrelated(rng, layers=6)) for _ in range(100)]) <= most(100)


@pytest.mark.parametrize("gains", [1, -1])
@pytest.mark.parametrize("values", [1, -1])
def test_a_copy_of_depth_never_leads_depth(values: int, gains: int) -> None:
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
