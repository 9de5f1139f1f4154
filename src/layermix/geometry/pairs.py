"""All pairs of examples, tile by tile: what each weighs for the other at many temperatures.

For the soft nearest neighbor loss each example i needs two sums over the others,

    own_i   = sum over j != i of its class     of exp(-|x_i - x_j|^2 / T)
    other_i = sum over k      of other classes of exp(-|x_i - x_k|^2 / T)

at many temperatures T. The N x N matrix is never there: distances come from matrix products of some
rows with all, and the exponentials of 1/T squared are those of 2/T, one multiplication instead of
an exponential. Two ways lead to the sums:

- `_symmetric` takes every pair once, adds what it weighs to both its rows and its columns, and
  takes half the work. All weights are lifted by a power of two as large as float32 can hold; where
  those of an example underflow all the same, it cannot tell;
- `_shifted` divides each row by its own largest weight first, so that nothing underflows.

Both keep `own` and `other` apart, so that a loss near zero keeps its digits.

Shapes: N examples, d features, t temperatures, r rows and c columns of a tile.
"""

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from layermix.geometry.distances import Distances
from layermix.geometry.minimum import Span, span_of

_COLUMNS = 512  # of a tile: its weights stay in a processor's fast memory
_SQUARINGS = 5  # in a row, each of which doubles the rounding error
_LIFT = 96.0  # log2 of what weights are multiplied by, where no row has a shift of its own
_LEAST = -90.0  # log2 of a lifted sum below which weights may have underflowed in float32
_NOTHING = -60.0  # log2 of other / own below which a loss is zero in any sense


class Pairs:
    """All pairs of examples.

    Parameters
    ----------
    distances
        Between N examples, the members of a class one after another, float32 or float64 as the
        weights will be; sums are float64.
    counts
        Number of examples of each class, in that order; their sum is N.
    """

    def __init__(self, distances: Distances, counts: Tensor) -> None:
        self._distances, self.size = distances, distances.size
        self.borders = [0, *counts.cumsum(0).tolist()]

    def log_sums(self, temperatures: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logarithms of `own` and `other` for every temperature, float64 (t, N)."""
        temperatures = temperatures / self._distances.scale / self._distances.scale
        if self._distances.dtype == torch.float64 or self.size <= self._distances.rows:
            return self._shifted(temperatures)
        own, other, bad = self._symmetric(temperatures)
        if bad.any():
            own[bad], other[bad] = self._shifted(temperatures[bad.cpu()])
        return own, other

    def span(self) -> Span:
        """Return between what squared distances the best temperature is to be sought."""
        few = self._distances.few()
        few = few[*torch.triu_indices(*few.shape, 1)]
        return span_of(few, self._distances.nearest(), self._distances.scale**2)

    def _symmetric(self, temperatures: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return `own`, `other`, and at which temperatures they cannot be trusted."""
        chains = _chains(temperatures, lift=_LIFT)
        own, other = self._zeros(temperatures), self._zeros(temperatures)
        for rows in self._panels():
            panel = self._distances.negative(rows, slice(rows.start, self.size))
            edges = [rows.start, *range(rows.stop, self.size, _COLUMNS), self.size]
            for start, stop in pairwise(edges):
                columns = slice(start, stop)
                tile = panel[:, start - rows.start : stop - rows.start]
                twice = start == rows.start  # the square holds each pair twice
                for down, across in self._own(rows, columns):
                    inside = tile[_local(down, rows), _local(across, columns)]
                    _add(own, inside.clone(), chains, down, None if twice else across)
                    inside.fill_(-math.inf)
                _add(other, tile, chains, rows, None if twice else columns)
        own, other = own.log_(), other.log_()
        bad = _underflowed(own, other)
        for chain in chains:
            for k, place in enumerate(chain.places):
                lift = chain.lift * 2**k * math.log(2)
                own[place] -= lift
                other[place] -= lift
        return own, other, bad

    def _shifted(self, temperatures: Tensor) -> tuple[Tensor, Tensor]:
        chains, at = _chains(temperatures), temperatures.to(self._distances.device)
        own, other = self._zeros(temperatures), self._zeros(temperatures)
        for rows in self._panels():
            panel = self._distances.negative(rows, slice(0, self.size))
            _add_shifted(own, self._take_own(panel, rows), rows, chains, at)
            _add_shifted(other, panel, rows, chains, at)
        return own, other

    def _take_own(self, panel: Tensor, rows: slice) -> Tensor:
        """Move each row's pairs of its own class out of a panel: (r, members of the largest)."""
        parts = list(self._own(rows, slice(0, self.size)))
        widest = max(across.stop - across.start for _, across in parts)
        own = panel.new_full((len(panel), widest), -math.inf)
        for down, across in parts:
            inside = panel[_local(down, rows), across]
            own[_local(down, rows), : inside.shape[1]] = inside
            inside.fill_(-math.inf)
        return own

    def _panels(self) -> Iterator[slice]:
        step = self._distances.rows
        for start in range(0, self.size, step):
            yield slice(start, min(start + step, self.size))

    def _own(self, rows: slice, columns: slice) -> Iterator[tuple[slice, slice]]:
        """Yield the rectangles of pairs of one class among some rows and columns."""
        for low, high in pairwise(self.borders):
            down, across = (slice(max(s.start, low), min(s.stop, high)) for s in (rows, columns))
            if down.start < down.stop and across.start < across.stop:
                yield down, across

    def _zeros(self, temperatures: Tensor) -> Tensor:
        shape = (len(temperatures), self.size)
        return torch.zeros(shape, dtype=torch.float64, device=self._distances.device)


class _Chain(NamedTuple):
    """Temperatures each half of the one before."""

    scale: float  # log2(e) / T of the first
    places: list[int]  # where they stand among all
    most: float  # log2 of what the weights of the last are multiplied by

    @property
    def lift(self) -> float:
        """The same of the first: it doubles with each squaring."""
        return self.most / 2 ** (len(self.places) - 1)


def _chains(temperatures: Tensor, lift: float = 0.0) -> list[_Chain]:
    values, chains = temperatures.tolist(), []
    for place in sorted(range(len(values)), key=lambda i: -values[i]):
        for chain in chains:
            last = values[chain.places[-1]]
            if len(chain.places) <= _SQUARINGS and math.isclose(last, 2 * values[place]):
                chain.places.append(place)
                break
        else:
            chains.append(_Chain(math.log2(math.e) / values[place], [place], lift))
    return chains


def _weigh(energies: Tensor, chain: _Chain, out: Tensor) -> Iterator[int]:
    """Put exp(energies / T) into `out` for one temperature of a chain after another; yield each."""
    # exp2 stays quick where exp underflows.
    torch.add(energies.new_tensor(chain.lift), energies, alpha=chain.scale, out=out).exp2_()
    for place in chain.places:
        if place != chain.places[0]:
            out.mul_(out)
        yield place


def _add(
    sums: Tensor, tile: Tensor, chains: list[_Chain], rows: slice, columns: slice | None
) -> None:
    """Add the weights of a tile to the sums of its rows, and of its columns where given."""
    by_row, by_column = (tile.new_zeros(len(sums), size) for size in tile.shape)
    down, across = (tile.new_ones(size) for size in tile.shape)
    weights = torch.empty_like(tile, memory_format=torch.contiguous_format)
    turned, row_sums, column_sums = weights.T, by_row.unbind(), by_column.unbind()
    for chain in chains:
        for place in _weigh(tile, chain, weights):
            torch.mv(weights, across, out=row_sums[place])  # quicker than sum()
            if columns is not None:
                torch.mv(turned, down, out=column_sums[place])
    sums[:, rows] += by_row
    if columns is not None:
        sums[:, columns] += by_column


def _add_shifted(
    sums: Tensor, panel: Tensor, rows: slice, chains: list[_Chain], temperatures: Tensor
) -> None:
    """Set the logarithms of the weights' sums of some rows, each shifted by its largest."""
    top = panel.amax(1, keepdim=True).clamp_min(torch.finfo(panel.dtype).min)  # (r, 1)
    for start in range(0, panel.shape[1], _COLUMNS):
        part = panel[:, start : start + _COLUMNS]
        _add(sums, part.sub_(top), chains, rows, None)
    sums[:, rows] = sums[:, rows].log() + top.T.double() / temperatures[:, None]


def _underflowed(own: Tensor, other: Tensor) -> Tensor:
    """Tell the temperatures at which some example's sums cannot be trusted, shape (t,)."""
    least = _LEAST * math.log(2)
    nothing = other < own + _NOTHING * math.log(2)
    return ((own < least) | ((other < least) & ~nothing)).any(1)


def _local(part: slice, whole: slice) -> slice:
    """Return where a part lies within a whole."""
    return slice(part.start - whole.start, part.stop - whole.start)
