"""Tests of the inner products of a layer: scale, and the transfer to the CPU."""

import math

import pytest
import torch

from benchmarks.counting import Counting
from layermix.geometry import LayerFeatures, measure_layer
from layermix.geometry.distances import power_of_two
from layermix.geometry.layer import on_cpu


def test_layers_are_moved_to_the_cpu_in_one_transfer() -> None:
    y = torch.arange(40) % 3
    layers = {str(d): LayerFeatures(torch.randn(40, d), y) for d in (2, 3000)}
    with Counting() as counting:
        moved = on_cpu(layers)
    assert not {kind for _, kind in counting.counts} & {"waits", "transfers"}  # all is on the CPU
    for name, layer in moved.items():
        assert layer is not layers[name]
        assert measure_layer(layer) == pytest.approx(measure_layer(layers[name]), nan_ok=True)


@pytest.mark.parametrize("largest", [0.0, 1e-300, 1e-30, 0.5, 1.0, 3.0, 1e30, 1e300])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_scale_is_a_power_of_two_near_the_largest_value(largest: float, dtype: torch.dtype) -> None:
    x = torch.tensor([[0.0], [-largest]], dtype=torch.float64).to(dtype)
    if not x.isfinite().all():
        return
    scale, limit = power_of_two(x), 500 if dtype == torch.float64 else 126
    exponent = math.frexp(float(x.abs().max()))[1]
    assert scale == 2.0 ** min(limit, max(-limit, exponent))
