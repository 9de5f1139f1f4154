"""lm.snnl: minimum over the temperature, and errors."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import layermix as lm

Data = tuple[Tensor, Tensor]


def separated() -> Data:
    x, y = overlapping()
    return x + 20 * torch.randn(4, 6, dtype=torch.float64)[y], y


def overlapping() -> Data:
    y = torch.arange(60) % 4
    x = torch.randn(60, 6, dtype=torch.float64)
    return x + torch.randn(4, 6, dtype=torch.float64)[y], y


def shuffled() -> Data:
    x, y = separated()
    return x, y[torch.randperm(60)]


def near_duplicates() -> Data:
    x = torch.randn(20, 3, dtype=torch.float64).repeat_interleave(3, 0)
    return x + 0.01 * torch.randn_like(x), torch.arange(60) % 4


def features_of_many_scales() -> Data:
    scale = 10 ** (6 * torch.rand(24, 1, dtype=torch.float64) - 3)
    return scale * torch.randn(24, 64, dtype=torch.float64), torch.arange(24) % 3


DATA = [separated, overlapping, shuffled, near_duplicates, features_of_many_scales]


def grid_search(x: Tensor, y: Tensor) -> tuple[float, float]:
    """Return the minimum loss over 2,000 temperatures, and its temperature, by the definition."""
    distance = (x[:, None] - x).square().sum(2).fill_diagonal_(math.inf)
    same = distance.masked_fill(y[:, None] != y, math.inf)
    temperatures = distance[distance.isfinite()].median() * torch.logspace(-4, 4, 2000).double()
    losses = torch.cat(
        [
            ((-distance / t).logsumexp(2) - (-same / t).logsumexp(2)).mean(1)
            for t in temperatures[:, None, None].split(100)
        ]
    )
    return float(losses.min()), float(temperatures[losses.argmin()])


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("make", DATA)
def test_minimum_over_temperature_equals_grid_search(make: Any, seed: int) -> None:
    torch.manual_seed(seed)
    x, y = make()
    expected, at = grid_search(x, y)
    found = lm.snnl(x, y)
    assert found.value == pytest.approx(expected, rel=1e-3, abs=1e-9)
    if make is overlapping:  # for other data, the minimum is flat or zero
        assert found.temperature == pytest.approx(at, rel=0.02)  # a step of the grid is 0.9%


def test_lower_of_two_minima_is_found() -> None:
    rng = np.random.default_rng(14)
    x = rng.normal(size=(24, 64)) * 10 ** rng.uniform(-3, 3, size=(24, 1))
    data = torch.from_numpy(x), torch.arange(24) % 3
    assert lm.snnl(*data).value == pytest.approx(grid_search(*data)[0], rel=1e-3)


def classes_with_a_large_column() -> Data:
    """Return separated classes, and a column of large scale that does not depend on them."""
    y = torch.arange(90) % 3
    x = torch.randn(90, 6, dtype=torch.float64) + 30 * torch.eye(3, 6, dtype=torch.float64)[y]
    return torch.cat([x, 10_000.0 * torch.randint(4, (90, 1))], 1), y


def nested_clusters() -> Data:
    y = torch.arange(80) % 4
    far, near = torch.randn(2, 20, dtype=torch.float64), 0.01 * torch.randn(4, 20).double()
    return 1000 * far[y // 2] + near[y] + 1e-4 * torch.randn(80, 20, dtype=torch.float64), y


@pytest.mark.parametrize("make", [classes_with_a_large_column, nested_clusters])
@pytest.mark.parametrize("to_float", [float, torch.Tensor.item])
def test_search_includes_temperatures_below_nearest_distances(make: Any, to_float: Any) -> None:
    torch.manual_seed(0)
    x, y = make()
    found = lm.snnl(x, y)
    assert found.value < 1e-3
    assert to_float(lm.SoftNearestNeighborLoss()(x, y)) == pytest.approx(found.value, abs=1e-9)


def test_search_continues_while_the_loss_decreases() -> None:
    x = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0 + 1e-6], [0.0, 1.5]], dtype=torch.float64)
    y = torch.tensor([0, 0, 1, 1])  # the first example is nearer to its class by 1e-6
    assert lm.snnl(x, y, 1e-4).value > 0.1
    assert lm.snnl(x, y).value < 1e-9


@pytest.mark.parametrize("n", [60, 1600])
@pytest.mark.parametrize("size", [1e-30, 1e-22, 1e20, 1e30])
def test_features_of_any_scale_are_measured(size: float, n: int) -> None:
    y = torch.arange(n) % 4
    x = torch.randn(n, 8) + torch.eye(4, 8)[y]
    one, other = lm.snnl(x, y), lm.snnl(size * x, y)
    assert other.value == pytest.approx(one.value, rel=1e-5)
    assert other.temperature == pytest.approx(float(size) ** 2 * one.temperature, rel=1e-3)
    alike = lm.snnl(size * x, y, distance="cosine").value
    assert alike == pytest.approx(lm.snnl(x, y, distance="cosine").value, rel=1e-5)


def test_temperature_may_be_a_tensor() -> None:
    x, y = overlapping()
    assert lm.snnl(x, y, torch.tensor(2.0)) == lm.snnl(x, y, 2.0)


@pytest.mark.parametrize("make", DATA)
def test_value_is_the_loss_at_the_returned_temperature(make: Any) -> None:
    x, y = make()
    value, temperature = lm.snnl(x, y)
    assert lm.snnl(x, y, temperature).value == pytest.approx(value, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("make", DATA)
@pytest.mark.parametrize("scale", [1e-6, 0.1, 1e5])
def test_minimum_does_not_depend_on_the_scale(make: Any, scale: float) -> None:
    x, y = make()
    one, other = lm.snnl(x, y), lm.snnl(scale * x, y)
    assert other.value == pytest.approx(one.value, rel=1e-6, abs=1e-12)


@pytest.mark.parametrize("scale", [1e-6, 0.1, 1e5])
def test_best_temperature_scales_with_the_squared_scale(scale: float) -> None:
    x, y = overlapping()
    expected = scale**2 * lm.snnl(x, y).temperature
    assert lm.snnl(scale * x, y).temperature == pytest.approx(expected, rel=1e-6)


X, Y = torch.arange(12.0).reshape(6, 2), torch.tensor([0, 0, 1, 1, 2, 2])
INVALID: list[tuple[tuple[Any, ...], str]] = [
    ((X.long(), Y), "features must be floating point, but are torch.int64"),
    ((X, Y.float()), "labels must be integer classes of shape (N,), but are torch.float32 of "),
    ((X, Y[:, None]), "labels must be integer classes of shape (N,), but are torch.int64 of "),
    (
        (X, Y[:5]),
        "features must have shape (N, ...) with N = 5, the number of labels, but have shape (6, 2)",
    ),
    (
        (X[:, 0], Y),
        "features must have shape (N, ...) with N = 6, the number of labels, but have shape (6,)",
    ),
    ((X, Y, None, "manhattan"), "unknown distance 'manhattan': known are 'euclidean', 'cosine'"),
    (
        (X, Y, None, "cosine", 7),
        "cannot draw 8 samples of 7 from 6 examples: sample_size must be ",
    ),
    (
        (X, Y, None, "cosine", 6, 1),
        "cannot draw 1 samples of 6 from 6 examples: sample_size must be ",
    ),
    ((X, torch.arange(6)), "none of the 6 classes has two members among 6 examples: measure more"),
    (
        (X, torch.arange(6), None, "cosine", 3),
        "a sample of 3 is too small: none of the 3 classes ",
    ),
    *(
        ((X, Y, t), f"the temperature is {t!r}, but must be finite and > 0")
        for t in (0.0, -1.0, math.nan, math.inf)
    ),
]


@pytest.mark.parametrize(("arguments", "text"), INVALID)
def test_invalid_arguments_raise_an_error(arguments: tuple[Any, ...], text: str) -> None:
    features, labels, *rest = arguments
    names = ("temperature", "distance", "sample_size", "num_samples")
    with pytest.raises(lm.InputError) as error:
        lm.snnl(features, labels, **dict(zip(names, rest, strict=False)))
    assert str(error.value).startswith(text)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_infinite_features_raise_an_error_with_their_row(bad: float) -> None:
    x = X.clone()
    x[3, 0] = x[5, 1] = bad
    with pytest.raises(lm.InputError) as error:
        lm.snnl(x, Y)
    assert str(error.value) == (
        "2 of 6 examples have features that are NaN or infinite, the first at row 3: remove "
        "these examples, or check the layers before this one"
    )


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
def test_minimum_is_scale_invariant_if_most_examples_coincide(scale: float) -> None:
    x, y = torch.randn(200, 16), torch.arange(200) % 4
    x[:160] = x[0]
    assert lm.snnl(scale * x, y).value == pytest.approx(lm.snnl(x, y).value, rel=1e-3)
