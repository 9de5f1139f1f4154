"""Precision of lm.snnl: small data are measured in float64, large data in float32."""

import functools
import itertools
import math

import pytest
import torch
from test_snnl import clusters, median_distance, reference_snnl
from torch import Tensor

import layermix as lm


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_small_data_of_low_precision_are_measured_in_float64(dtype: torch.dtype) -> None:
    x, y = clusters(30, 16, 3, 1.0)
    low = x.to(dtype)
    assert lm.snnl(low, y, 10.0) == lm.snnl(low.double(), y, 10.0)
    assert lm.snnl(low, y, 10.0).value == pytest.approx(reference_snnl(low, y, 10.0), rel=1e-6)


def reference_snnl_by_products(x: Tensor, y: Tensor, temperatures: list[float]) -> list[float]:
    """Return the losses from all distances in memory, computed by float64 matrix products."""
    x = x.double() - x.double().mean(0)
    norms = x.square().sum(1)
    distance = (norms[:, None] + norms - 2 * x @ x.T).fill_diagonal_(math.inf)
    losses = []
    for temperature in temperatures:
        exponents = -distance / temperature
        same = exponents.masked_fill(y[:, None] != y, -math.inf).logsumexp(1)
        other = exponents.masked_fill(y[:, None] == y, -math.inf).logsumexp(1)
        losses.append(float(torch.nn.functional.softplus(other - same).mean()))
    return losses


@functools.lru_cache(1)
def large_data(d: int, apart: float) -> tuple[Tensor, Tensor, list[tuple[float, float]]]:
    """Return 1,500 examples in float32, labels, and pairs of temperature and reference loss."""
    x, y = clusters(1500, d, 5, apart)
    temperatures = [f * median_distance(x[:300]) for f in (1e-3, 3e-2, 1.0, 1e3)]
    losses = reference_snnl_by_products(x.float(), y, temperatures)
    return x.float(), y, list(zip(temperatures, losses, strict=True))


@pytest.mark.parametrize(("dtype", "close"), [(torch.float32, 1e-5), (torch.bfloat16, 1e-2)])
@pytest.mark.parametrize(
    ("d", "apart"),
    [
        *itertools.product([2, 64, 1024], [0.0, 0.3, 3.0]),
        *(pytest.param(16_384, apart, marks=pytest.mark.slow) for apart in (0.3, 3.0)),
    ],
)
def test_large_data_are_measured_in_float32_to_five_digits(
    d: int, apart: float, dtype: torch.dtype, close: float
) -> None:
    x, y, losses = large_data(d, apart)
    for temperature, expected in losses:
        found = lm.snnl(x.to(dtype), y, temperature).value
        assert found == pytest.approx(expected, rel=close, abs=1e-9)
