"""Time of the exact SNNL, relative to the matrix product that it needs.

The lower bound is the product of the features with their transpose, N x N x d. The dense reference
is the formula in plain torch, with the N x N matrix in memory.

Shapes: N examples, d features, t temperatures.
"""

import math
import statistics
from functools import partial

import torch
from torch import Tensor

from benchmarks.memory import peak_memory
from benchmarks.setting import Setting
from benchmarks.table import Row, Table
from benchmarks.timing import alternate, ratio
from layermix.geometry.distances import computed_distances
from layermix.geometry.pair_sums import PairSums
from layermix.geometry.snnl import snnl
from layermix.lab.training.environment import cpu_settings

_N, _D, _CLASSES, _TEMPERATURES = 10_000, 512, 10, 12
_GROWTH = (2_500, 5_000, 10_000, 20_000)
_LARGE = 50_000


def bench_snnl(setting: Setting) -> Table:
    """Time the SNNL in tiles at 12 temperatures, the matrix product, and the dense reference."""
    with cpu_settings(setting.threads):
        return Table(
            title=f"SNNL: {_TEMPERATURES} temperatures, d = {_D}, float32, {setting.device}",
            rows=[*_side_by_side(setting), *_growth(setting)],
            notes=[
                "product: only the matrix product x @ x.T, to allocated memory; minimum: the "
                "search for the temperature of least loss, with all refinements; dense: the "
                "formula with all N x N distances in memory.",
                "The time is proportional to N^2 d (the product) plus N^2 for each temperature "
                "(the weights): doubling N takes four times as long. The tiled version visits each "
                "pair once for both of its rows, which halves the product, and needs N d memory.",
                "ratio: to the product in the same repetition; median, minimum and maximum of n.",
            ],
        )


def _side_by_side(setting: Setting) -> list[Row]:
    n = 500 if setting.small else _N
    x, y = _data(n, setting.device)
    room = torch.empty(n, n, device=setting.device)
    seconds = alternate(
        {
            "product": lambda: torch.mm(x, x.T, out=room),
            "tiled": lambda: _tiled(x, y),
            "minimum": lambda: snnl(x, y),
            "dense": lambda: _dense(x, y),
        },
        setting.repeats,
        device=setting.device,
    )
    return [_row(name, n, seconds, x, y) for name in seconds]


def _row(name: str, n: int, seconds: dict[str, list[float]], x: Tensor, y: Tensor) -> Row:
    middle, least, most = ratio(seconds, name, "product")
    ours = {"tiled": lambda: _tiled(x, y), "minimum": lambda: snnl(x, y)}
    memory = peak_memory(ours[name], x.device.type) if name in ours else math.nan
    return {
        "what": name,
        "N": n,
        "seconds": statistics.median(seconds[name]),
        "ratio": middle,
        "least": least,
        "most": most,
        "extra MB": memory,
    }


def _growth(setting: Setting) -> list[Row]:
    """Time the SNNL in tiles and the matrix product for increasing N."""
    rows = []
    for n in (250, 500) if setting.small else (*_GROWTH, _LARGE):
        x, y = _data(n, setting.device)
        things = {"product": partial(_product, x), "tiled": partial(_tiled, x, y)}
        seconds = alternate(things, 1 if n == _LARGE else 3, device=setting.device)
        rows.append(_row("tiled", n, seconds, x, y))
    return rows


def _data(n: int, device: str = "cpu") -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(n) % _CLASSES
    centers = 0.3 * torch.randn(_CLASSES, _D, generator=generator)
    x = torch.randn(n, _D, generator=generator) + centers[y]
    return x.to(device), y.to(device)


def _temperatures() -> Tensor:
    """Return powers of two times the median squared distance of the data, which is about 2 d."""
    return 2 * _D * torch.tensor([2.0**k for k in range(-7, _TEMPERATURES - 7)]).double()


def _tiled(x: Tensor, y: Tensor) -> Tensor:
    distances = computed_distances(x, y.argsort(stable=True), torch.float32)
    pairs = PairSums(distances, y.bincount())
    same, other = pairs.log_sums(_temperatures())
    return torch.nn.functional.softplus(other - same).mean(1)


def _product(x: Tensor) -> None:
    """Multiply all rows with all rows in blocks, so that any N fits into memory."""
    room = x.new_empty(min(len(x), 2_500), len(x))
    for rows in x.split(2_500):
        torch.mm(rows, x.T, out=room[: len(rows)])


def _dense(x: Tensor, y: Tensor) -> Tensor:
    """Return the SNNL at each temperature, (t,), with the formula and an N x N matrix."""
    distance = torch.cdist(x, x).square_().fill_diagonal_(math.inf)
    same = y[:, None] == y
    losses = []
    for temperature in _temperatures().tolist():
        exponents = distance / -temperature
        near = exponents.masked_fill(~same, -math.inf).logsumexp(1)
        losses.append((exponents.logsumexp(1) - near).mean())
    return torch.stack(losses)
