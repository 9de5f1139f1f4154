"""PairSums equals its definition for all tile sizes, dtypes and class sizes."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.counting import Counting
from layermix.geometry import distances as module
from layermix.geometry import snnl
from layermix.geometry import weights as tiles
from layermix.geometry.pair_sums import PairSums

TEMPERATURES = torch.tensor([4096.0, 64.0, 32.0, 16.0, 5.0, 2.5, 1.0], dtype=torch.float64)


def data(counts: list[int], d: int = 24, apart: float = 1.0, seed: int = 0) -> tuple:
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    centers = apart * torch.randn(len(counts), d, generator=generator)
    return torch.randn(len(y), d, generator=generator) + centers[y], y


def reference_log_sums(x: Tensor, y: Tensor, temperatures: Tensor) -> tuple[Tensor, Tensor]:
    """Return log sums over the same class and over other classes in float64, (t, N) each."""
    distance = (x.double()[:, None] - x.double()).square().sum(2).fill_diagonal_(math.inf)
    same = y[:, None] == y
    exponents = -distance / temperatures[:, None, None]
    return (
        exponents.masked_fill(~same, -math.inf).logsumexp(2),
        exponents.masked_fill(same, -math.inf).logsumexp(2),
    )


def sums(
    x: Tensor, y: Tensor, temperatures: Tensor, dtype: torch.dtype, in_blocks: bool = False
) -> tuple[Tensor, Tensor]:
    order = torch.arange(len(x))
    distances = module.computed_distances(x, order, dtype)
    pairs = PairSums(distances, y.bincount())
    pairs.in_blocks = in_blocks
    return pairs.log_sums(temperatures)


COUNTS = [[40, 40, 40], [90, 2, 28], [2] * 60, [119, 1], [120]]


@pytest.mark.parametrize("counts", COUNTS, ids=str)
@pytest.mark.parametrize(("rows", "columns"), [(120, 7), (1, 512), (17, 13), (64, 64), (50, 1)])
@pytest.mark.parametrize(("dtype", "close"), [(torch.float32, 2e-5), (torch.float64, 1e-11)])
def test_sums_equal_the_definition_for_all_tile_sizes(
    counts: list[int],
    rows: int,
    columns: int,
    dtype: torch.dtype,
    close: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "SMALL", 0 if rows < 120 else 120 * 120)
    monkeypatch.setattr(module, "_ROWS", rows)
    monkeypatch.setattr(tiles, "COLUMNS", columns)
    x, y = data(counts)
    for found, expected in zip(
        sums(x, y, TEMPERATURES, dtype), reference_log_sums(x, y, TEMPERATURES), strict=True
    ):
        torch.testing.assert_close(found, expected, rtol=close, atol=close)


@pytest.mark.parametrize("counts", COUNTS, ids=str)
@pytest.mark.parametrize("rows", [120, 1, 17, 64])
@pytest.mark.parametrize(("dtype", "close"), [(torch.float32, 2e-5), (torch.float64, 1e-11)])
def test_sums_in_blocks_equal_the_definition(
    counts: list[int], rows: int, dtype: torch.dtype, close: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SMALL", 0)
    monkeypatch.setattr(module, "_ROWS", rows)
    x, y = data(counts)
    found, expected = sums(x, y, TEMPERATURES, dtype, True), reference_log_sums(x, y, TEMPERATURES)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=close, atol=close)


def test_blocks_on_a_gpu_are_few_and_large() -> None:
    rows = module._rows(10_000, torch.device("cuda"))
    assert 4 * rows * 10_000 <= 256e6
    assert -(-10_000 // rows) <= 40


@pytest.mark.parametrize("counts", [[250, 250], [5] * 100])
def test_a_block_launches_few_operations_for_each_temperature(
    counts: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SMALL", 0)
    monkeypatch.setattr(module, "_ROWS", 250)
    x, y = data(counts)
    t = torch.tensor([2.0**-k for k in range(12)], dtype=torch.float64)
    with Counting() as counting:
        sums(x, y, t, torch.float32, True)
    launches = sum(n for (_, kind), n in counting.counts.items() if kind == "launches")
    assert launches <= 2 * 12 * 12  # 12 for each of 2 blocks and 12 temperatures


@pytest.mark.parametrize("in_blocks", [False, True])
@pytest.mark.parametrize("apart", [0.0, 40.0])
@pytest.mark.parametrize("temperature", [1e-4, 1e-2])
def test_sums_are_precise_if_all_weights_underflow(
    apart: float, temperature: float, in_blocks: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SMALL", 0)
    monkeypatch.setattr(module, "_ROWS", 30)
    x, y = data([40, 40, 40], apart=apart)
    t = torch.tensor([64.0, temperature], dtype=torch.float64)
    rounding = (
        8 * torch.finfo(torch.float32).eps * float(x.square().sum(1).max())
    )  # rounding error of a distance
    found, expected = sums(x, y, t, torch.float32, in_blocks), reference_log_sums(x, y, t)
    assert ((found[0] - expected[0]).abs() <= 1e-4 + rounding / t[:, None]).all()
    losses, wanted = (F.softplus(other - own) for own, other in (found, expected))
    assert ((losses - wanted).abs() <= 1e-5 + rounding / t[:, None]).all()


@pytest.mark.parametrize(
    ("temperatures", "exponentials"),
    [([3.0 * 2.0**-k for k in range(9)], 2), ([8.0, 6.0, 4.0, 3.0, 1.0], 3), ([1.0, 2.0], 1)],
)
def test_halved_temperatures_share_exponentials(
    temperatures: list[float], exponentials: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, exp2 = [], Tensor.exp2_

    def counted(tensor: Tensor) -> Tensor:
        calls.append(tensor.shape)
        return exp2(tensor)

    monkeypatch.setattr(Tensor, "exp2_", counted)
    x, y = data([40, 40, 40])
    t = torch.tensor(temperatures, dtype=torch.float64)
    found = sums(x, y, t, torch.float32)
    assert len(calls) == 2 * exponentials  # for the same class and for others
    for ours, theirs in zip(found, reference_log_sums(x, y, t), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("small", [0, 1 << 21])
def test_stored_distances_give_the_same_sums(small: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SMALL", small)
    monkeypatch.setattr(module, "_ROWS", 17)
    x, y = data([90, 2, 28])
    kept = module.stored_distances(torch.cdist(x.double(), x.double()).square().float())
    found, expected = (
        PairSums(kept, y.bincount()).log_sums(TEMPERATURES),
        reference_log_sums(x, y, TEMPERATURES),
    )
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=2e-5, atol=2e-5)


def test_features_are_centered_for_precision() -> None:
    x, y = data([40, 40, 40])
    far = (x.double() + 1e4).float()
    t = torch.tensor([16.0], dtype=torch.float64)
    own, _ = sums(far, y, t, torch.float32)
    torch.testing.assert_close(own, reference_log_sums(far, y, t)[0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("apart", [0.0, 0.1, 0.3])
def test_only_temperatures_of_a_high_loss_are_excluded(
    apart: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SMALL", 0)
    monkeypatch.setattr(module, "_ROWS", 30)
    x, y = data([40, 50, 30], d=60, apart=apart)
    distances = module.computed_distances(x, torch.arange(120), torch.float32)
    t = torch.tensor([2.0**-k for k in range(-8, 8)], dtype=torch.float64)
    own, others = reference_log_sums(x, y, t)
    exact = F.softplus(others - own).mean(1)
    for enough in (float(exact.min()), 1e-3):
        same, other = PairSums(distances, y.bincount()).log_sums(t, enough)
        found = F.softplus(other - same).mean(1)
        assert found.isnan().any()
        assert (exact[found.isnan()] > 2 * min(enough, float(exact.min()))).all()
        kept = ~found.isnan()
        torch.testing.assert_close(found[kept], exact[kept], rtol=1e-3, atol=1e-5)


def outlier_and_twins(d: int, seed: int) -> tuple[Tensor, Tensor]:
    """Return classes with an outlier and near duplicates, whose loss has several minima."""
    x, y = data([500, 500, 500], d=d, apart=0.6, seed=seed)
    x[0] *= 100
    x[1::7] = x[0::7][: len(x[1::7])] + 1e-3 * torch.randn(
        len(x[1::7]), d, generator=torch.Generator().manual_seed(seed)
    )
    return x, y


@pytest.mark.parametrize("d", [16, 64, 256])
@pytest.mark.parametrize("seed", range(4))
def test_search_in_float32_finds_the_minimum_of_float64(d: int, seed: int) -> None:
    x, y = outlier_and_twins(d, seed)
    found, expected = snnl(x, y), snnl(x.double(), y)
    assert found.value == pytest.approx(expected.value, rel=2e-3, abs=1e-7)


@pytest.mark.parametrize("apart", [0.0, 0.3, 1.0, 3.0, 30.0])
@pytest.mark.parametrize("seed", [0, 1])
def test_search_with_bounds_finds_the_minimum(
    apart: float, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y = data([40, 50, 30], d=60, apart=apart, seed=seed)
    expected = snnl(x.double(), y)
    monkeypatch.setattr(module, "SMALL", 0)
    monkeypatch.setattr(module, "_ROWS", 30)
    found = snnl(x, y)
    assert found.value == pytest.approx(expected.value, rel=1e-4, abs=1e-6)
    if expected.value > 1e-3:
        assert found.temperature == pytest.approx(expected.temperature, rel=0.02)
