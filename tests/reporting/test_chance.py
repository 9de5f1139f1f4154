"""Worlds in which geometry says nothing of the gain: how often is a relation declared all the same?

What a layer gains, and what is measured of it, repeats from seed to seed, with noise; the two have
nothing to do with one another.
"""

import math

import numpy as np
import pytest

from layermix.geometry.quantities import QUANTITIES
from layermix.reporting.statistics.prediction import Prediction, predict
from layermix.reporting.statistics.studies import in_words, over_studies

SEEDS = 8
Named = dict[str, dict[int, float]]


def by_seed(rng: np.random.Generator, layers: int, spread: float, noise: float) -> Named:
    """Draw values of layers that repeat from seed to seed, but for their noise."""
    own = rng.normal(0, spread, layers)
    return {
        f"block{k}": dict(enumerate(own[k] + rng.normal(0, noise, SEEDS))) for k in range(layers)
    }


def unrelated(rng: np.random.Generator, layers: int) -> Prediction:
    """Predict in a world where gains (in shares) and quantities are drawn apart."""
    accuracy = by_seed(rng, layers, spread=0.006, noise=0.005)
    accuracy["none"] = dict.fromkeys(range(SEEDS), 0.0)
    values = {quantity: by_seed(rng, layers, spread=1.0, noise=0.2) for quantity in QUANTITIES}
    return predict([f"block{k}" for k in range(layers)], values, accuracy)


def most(worlds: int) -> float:
    """Return the largest share of false alarms at the 0.05 level, with three standard errors."""
    return 0.05 + 3 * math.sqrt(0.05 * 0.95 / worlds)


def any_shown(found: Prediction) -> bool:
    return any(row.side(row.p_holm) != "undecided" for row in found.ranks)


def test_of_unrelated_worlds_a_relation_is_declared_in_one_of_twenty_at_most() -> None:
    rng = np.random.default_rng(0)
    found = [unrelated(rng, layers=5) for _ in range(200)]
    snnl = [next(row for row in world.ranks if row.quantity == "snnl") for world in found]
    assert 0 < np.mean([row.side(row.p) != "undecided" for row in snnl]) <= most(200)
    assert not any(any_shown(world) for world in found)  # which five layers cannot show
    leads = [world.baseline for world in found if " beyond depth " in world.baseline]
    assert leads
    assert all(
        told.endswith("the layers of one net cannot show that it beats depth.") for told in leads
    )


def test_of_thirteen_unrelated_quantities_any_is_declared_in_one_of_twenty_at_most() -> None:
    rng = np.random.default_rng(1)
    assert np.mean([any_shown(unrelated(rng, layers=6)) for _ in range(100)]) <= most(100)


@pytest.mark.parametrize("gains", ["rise", "fall"])
@pytest.mark.parametrize("values", ["rise", "fall"])
def test_a_copy_of_depth_never_leads_depth(values: str, gains: str) -> None:
    rng, layers = np.random.default_rng(2), 6
    places = [k if values == "rise" else -k for k in range(layers)]
    studies = {}
    for study in range(8):
        accuracy = by_seed(rng, layers, spread=0.0, noise=0.01)
        for k, own in enumerate(accuracy.values()):
            own.update({s: v + 0.01 * (k if gains == "rise" else -k) for s, v in own.items()})
        accuracy["none"] = dict.fromkeys(range(SEEDS), 0.0)
        copy = {f"block{k}": dict.fromkeys(range(SEEDS), float(places[k])) for k in range(layers)}
        found = predict(list(copy), {"knn": copy, "nc1": copy}, accuracy)
        assert "does no better" in found.baseline
        studies[str(study)] = found
    assert "does no better" in in_words(over_studies(studies))
