"""Between what the quantities of a layer lie: every one of them, on layers as odd as they come."""

import math

import pytest
import torch

from layermix.geometry import MEASURES, LayerFeatures
from layermix.reporting.statistics.bounds import beyond, cut
from layermix.reporting.statistics.stats import estimate


@pytest.mark.parametrize("apart", [0.0, 0.5, 50.0])
@pytest.mark.parametrize("seed", range(5))
def test_no_value_lies_beyond_its_bounds(apart: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(24) % 3
    layer = LayerFeatures(torch.randn(24, 5, generator=generator) + apart * labels[:, None], labels)
    for name, measure in MEASURES.items():
        low, high = measure.bounds
        assert low - 1e-9 <= measure.compute(layer) <= high + 1e-9, name


def test_only_the_ends_of_an_interval_are_cut() -> None:
    found = estimate([0.0, 0.1])
    ends = cut(found, (0.0, 1.0))
    assert (ends.low, ends.high, ends.mean, ends.values) == (0.0, found.high, 0.05, (0.0, 0.1))
    assert beyond(found, (0.0, 1.0))
    assert not beyond(found, (-math.inf, 1.0))
    assert not beyond(estimate([1.0, 1.0]), (0.0, 1.0))
    assert cut(estimate([0.5]), (0.0, 0.1)) == estimate([0.5])
