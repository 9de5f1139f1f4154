"""Sums over all pairs of examples at many temperatures, computed in tiles.

The soft nearest neighbor loss needs two sums for each example i at many temperatures T:

    same_i  = sum over j != i of its class     of exp(-|x_i - x_j|^2 / T)
    other_i = sum over k      of other classes of exp(-|x_i - x_k|^2 / T).

The terms of the sums are called weights. The N x N matrix is never in memory. The weights at T / 2
are the squares of the weights at T, so no new exponential is needed. The two sums are computed
separately, so that a loss near zero is precise. `_symmetric` visits each pair once, and returns the
temperatures at which weights may underflow. `_shifted` first divides each row by its largest
weight, which prevents underflow. On a GPU, where each operation takes microseconds to launch,
`_in_blocks` does the same for large blocks of rows, in few operations.

Shapes: N examples, t temperatures, r rows and c columns of a tile.
"""

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from layermix.geometry.distances import Distances

_COLUMNS = 512  # columns of a tile, whose weights fit into the CPU cache
_SQUARINGS = 5  # maximum number of successive squarings: each doubles the rounding error
_LIFT = 96.0  # log2 of the factor that multiplies all weights in `_symmetric`
_LEAST = -90.0  # log2 of a sum times this factor, below which weights may underflow in float32
_NOTHING = -60.0  # log2 of other / same, below which the loss is zero


class PairSums:
    """Sums over all pairs of N examples sorted by class; `counts` are the class sizes.

    Weights have the dtype of the distances, float32 or float64. Sums are float64.
    """

    def __init__(self, distances: Distances, counts: Tensor) -> None:
        self._distances, self.size = distances, distances.size
        self._ends = F.pad(counts.cumsum(0), (1, 0))  # of the classes, from 0 to N
        self._borders = self._ends.tolist()
        self.in_blocks = distances.device.type != "cpu"

    def log_sums(self, temperatures: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logarithms of `same` and `other` at each temperature, float64 (t, N)."""
        temperatures = temperatures / self._distances.scale / self._distances.scale
        if self.in_blocks:
            return self._in_blocks(temperatures)
        if self._distances.dtype == torch.float64 or self.size <= self._distances.rows:
            return self._shifted(temperatures)
        same, other, bad = self._symmetric(temperatures)
        if bad.any():
            same[bad], other[bad] = self._shifted(temperatures[bad.cpu()])
        return same, other

    def scales(self) -> tuple[Tensor, Tensor, float]:
        """Return some pairwise distances, nearest-neighbor distances (N,) and a factor for both."""
        sample = self._distances.sample()
        sample = sample[*torch.triu_indices(*sample.shape, 1)]
        return sample, self._distances.nearest(), self._distances.scale**2

    def _symmetric(self, temperatures: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the logarithms of the sums, and a mask of temperatures with possible underflow."""
        chains = _chains(temperatures, _LIFT)
        same, other = self._zeros(len(temperatures))
        for rows in self._distances.panels():
            panel = self._distances.negative(rows, slice(rows.start, self.size))
            edges = [rows.start, *range(rows.stop, self.size, _COLUMNS), self.size]
            for start, stop in pairwise(edges):
                columns = slice(start, stop)
                tile = panel[:, start - rows.start : stop - rows.start]
                both = start == rows.start  # the square tile has each pair twice
                for down, across in self._same_class(rows, columns):
                    inside = tile[_relative(down, rows), _relative(across, columns)]
                    _add(same, inside.clone(), chains, down, None if both else across)
                    inside.fill_(-math.inf)
                _add(other, tile, chains, rows, None if both else columns)
        same, other = same.log_(), other.log_()
        nothing = other < same + _NOTHING * math.log(2)
        least = _LEAST * math.log(2)
        bad = ((same < least) | ((other < least) & ~nothing)).any(1)
        for chain in chains:
            for k, index in enumerate(chain.indices):
                lift = chain.lift * 2**k * math.log(2)
                same[index] -= lift
                other[index] -= lift
        return same, other, bad

    def _shifted(self, temperatures: Tensor) -> tuple[Tensor, Tensor]:
        chains, at = _chains(temperatures, 0.0), temperatures.to(self._distances.device)
        same, other = self._zeros(len(temperatures))
        for rows in self._distances.panels():
            panel = self._distances.negative(rows, slice(0, self.size))
            _set_shifted(same, self._take_same_class(panel, rows), rows, chains, at)
            _set_shifted(other, panel, rows, chains, at)
        return same, other

    def _in_blocks(self, temperatures: Tensor) -> tuple[Tensor, Tensor]:
        chains, at = _chains(temperatures, 0.0), temperatures.to(self._distances.device)
        same, other = self._zeros(len(temperatures))
        for rows in self._distances.panels():
            panel = self._distances.negative(rows, slice(0, self.size))
            own = self._gather_same_class(panel, rows)
            same[:, rows], other[:, rows] = (_log_sums(part, chains, at) for part in (own, panel))
        return same, other

    def _gather_same_class(self, panel: Tensor, rows: slice) -> Tensor:
        """Do as `_take_same_class`, in a number of operations that no number of classes changes."""
        row = torch.arange(rows.start, rows.stop, device=panel.device)
        ends = torch.searchsorted(self._ends, row, right=True)  # of each row's class
        start, stop = self._ends[ends - 1, None], self._ends[ends, None]  # (r, 1)
        widest = max(high - low for low, high in pairwise(self._borders))
        columns = start + torch.arange(widest, device=panel.device)
        outside = columns >= stop
        columns = torch.where(outside, start, columns)
        taken = panel.gather(1, columns).masked_fill_(outside, -math.inf)
        panel.scatter_(1, columns, -math.inf)
        return taken

    def _take_same_class(self, panel: Tensor, rows: slice) -> Tensor:
        """Move same-class distances from `panel` to a tensor (r, size of the largest class)."""
        parts = list(self._same_class(rows, slice(0, self.size)))
        widest = max(across.stop - across.start for _, across in parts)
        taken = panel.new_full((len(panel), widest), -math.inf)
        for down, across in parts:
            inside = panel[_relative(down, rows), across]
            taken[_relative(down, rows), : inside.shape[1]] = inside
            inside.fill_(-math.inf)
        return taken

    def _same_class(self, rows: slice, columns: slice) -> Iterator[tuple[slice, slice]]:
        """Yield the (rows, columns) of each block of same-class pairs inside a tile."""
        for low, high in pairwise(self._borders):
            down, across = (slice(max(s.start, low), min(s.stop, high)) for s in (rows, columns))
            if down.start < down.stop and across.start < across.stop:
                yield down, across

    def _zeros(self, t: int) -> tuple[Tensor, ...]:
        device = self._distances.device
        return torch.zeros(2, t, self.size, dtype=torch.float64, device=device).unbind()


class _Chain(NamedTuple):
    """A sequence of temperatures, each of which is half of the previous one."""

    scale: float  # log2(e) / T, for the first T
    lift: float  # log2 of the factor of the weights at the first T; each squaring doubles it
    indices: list[int]


def _chains(temperatures: Tensor, last_lift: float) -> list[_Chain]:
    values, found = temperatures.tolist(), []
    for index in sorted(range(len(values)), key=lambda i: -values[i]):
        for chain in found:
            last = values[chain[-1]]
            if len(chain) <= _SQUARINGS and math.isclose(last, 2 * values[index]):
                chain.append(index)
                break
        else:
            found.append([index])
    return [
        _Chain(math.log2(math.e) / values[chain[0]], last_lift / 2 ** (len(chain) - 1), chain)
        for chain in found
    ]


def _add(
    sums: Tensor, tile: Tensor, chains: list[_Chain], rows: slice, columns: slice | None
) -> None:
    """Add the weights of a tile to the sums of its rows and, if given, of its columns."""
    by_row, by_column = (tile.new_zeros(len(sums), size) for size in tile.shape)
    down, across = (tile.new_ones(size) for size in tile.shape)
    weights = torch.empty_like(tile, memory_format=torch.contiguous_format)
    transposed, row_sums, column_sums = weights.T, by_row.unbind(), by_column.unbind()
    for chain in chains:
        # Unlike exp, exp2 is not slower when it underflows.
        torch.add(tile.new_tensor(chain.lift), tile, alpha=chain.scale, out=weights).exp2_()
        for index in chain.indices:
            if index != chain.indices[0]:
                weights.mul_(weights)
            torch.mv(weights, across, out=row_sums[index])  # faster than sum()
            if columns is not None:
                torch.mv(transposed, down, out=column_sums[index])
    sums[:, rows] += by_row
    if columns is not None:
        sums[:, columns] += by_column


def _set_shifted(
    sums: Tensor, panel: Tensor, rows: slice, chains: list[_Chain], temperatures: Tensor
) -> None:
    """Set the log sums of some rows, each computed relative to its largest weight."""
    top = panel.amax(1, keepdim=True).clamp_min(torch.finfo(panel.dtype).min)  # (r, 1)
    for start in range(0, panel.shape[1], _COLUMNS):
        _add(sums, panel[:, start : start + _COLUMNS].sub_(top), chains, rows, None)
    sums[:, rows] = sums[:, rows].log() + top.T.double() / temperatures[:, None]


def _log_sums(panel: Tensor, chains: list[_Chain], temperatures: Tensor) -> Tensor:
    """Return the log sums of rows, float64 (t, r), each computed relative to its largest weight."""
    top = panel.amax(1, keepdim=True).clamp_min(torch.finfo(panel.dtype).min)  # (r, 1)
    panel.sub_(top)
    sums = panel.new_empty(len(temperatures), len(panel), dtype=torch.float64)
    for chain in chains:
        weights = torch.mul(panel, chain.scale).exp2_()
        for index in chain.indices:
            if index != chain.indices[0]:
                weights.mul_(weights)
            torch.sum(weights, 1, dtype=torch.float64, out=sums[index])
    return sums.log_().add_(top.T / temperatures[:, None])


def _relative(part: slice, whole: slice) -> slice:
    return slice(part.start - whole.start, part.stop - whole.start)
