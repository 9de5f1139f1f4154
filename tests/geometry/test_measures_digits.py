"""Precision of measures: wide float32 layers, zero rows, any scale, any matmul precision."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from known import CLASSES, D, gaussians, value
from layermix.geometry import MEASURES


def rectified(offset: float) -> tuple[Tensor, Tensor]:
    """Return wide features after a ReLU, far from the origin, with classes in a few directions."""
    x, y = gaussians(2.0)
    rng = torch.Generator().manual_seed(0)
    turn = torch.randn(D, 3000, generator=rng, dtype=torch.float64) / 50
    noise = 0.05 * torch.randn(len(x), 3000, generator=rng, dtype=torch.float64)
    return (x @ turn + noise + offset * torch.rand(3000, generator=rng).double()).relu(), y


@pytest.mark.parametrize("offset", [0.0, 1.0, 100.0])
@pytest.mark.parametrize("name", MEASURES)
def test_wide_float32_features_equal_float64(
    name: str, offset: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y = rectified(offset)
    expected = value(name, (x.float().double(), y))
    monkeypatch.setattr("layermix.geometry.layer._EXACT", 0)
    found = value(name, (x.float(), y))
    assert found == pytest.approx(expected, rel=2e-3, abs=2e-3 if name == "separation" else 1e-4)


@pytest.mark.parametrize("name", ["nc1", "fuzziness", "knn", "cka"])
def test_measures_ignore_matmul_precision_and_autocast(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y = rectified(1.0)
    monkeypatch.setattr("layermix.geometry.layer._EXACT", 0)
    expected = value(name, (x.float(), y))
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("medium")
        with torch.autocast("cpu", torch.bfloat16):
            assert value(name, (x.float(), y)) == expected
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)


def test_zero_rows_are_orthogonal_to_all_rows() -> None:
    x, y = gaussians(2.0)
    x[::20] = 0.0
    unit = torch.nn.functional.normalize(x).numpy()
    shares = np.eye(CLASSES)[y] / np.bincount(y)
    between = 1 - shares.T @ (unit @ unit.T) @ shares
    expected = 1 - np.trace(between) / CLASSES / between.mean()
    assert value("separation", (x, y)) == pytest.approx(expected, rel=1e-9)


def test_separation_with_zero_rows_is_precise_in_float32(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x, y = rectified(0.0)
    x[:20] = 0.0
    expected = value("separation", (x, y))
    monkeypatch.setattr("layermix.geometry.layer._EXACT", 0)
    assert value("separation", (x.float(), y)) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("name", ["nc1", "fuzziness"])
def test_equal_class_means_give_infinite_variability(
    name: str, exact: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not exact:
        monkeypatch.setattr("layermix.geometry.layer._EXACT", 0)
    points = torch.randn(50, D, dtype=torch.float64 if exact else torch.float32)
    for classes in (2, 3, 4):
        x, y = points.repeat(classes, 1), torch.arange(classes).repeat_interleave(50)
        assert value(name, (x, y)) == math.inf


@pytest.mark.parametrize("size", [1e-30, 1e-20, 1e20, 1e30])
@pytest.mark.parametrize("name", MEASURES)
def test_measures_are_precise_at_any_scale(
    name: str, size: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("layermix.geometry.layer._EXACT", 0)
    x, y = rectified(1.0)
    expected = value(name, (x.float(), y))
    assert value(name, ((size * x).float(), y)) == pytest.approx(expected, rel=1e-3, abs=1e-6)
