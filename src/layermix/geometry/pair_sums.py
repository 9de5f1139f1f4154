"""Sums over all pairs of examples at many temperatures, computed in tiles.

The soft nearest neighbor loss needs two sums for each example i at many temperatures T:

    same_i  = sum over j != i of its class     of exp(-|x_i - x_j|^2 / T)
    other_i = sum over k      of other classes of exp(-|x_i - x_k|^2 / T).

The terms of the sums are called weights. The N x N matrix is never in memory. The two sums are
computed separately, so that a loss near zero is precise. `_symmetric` visits each pair once, and
returns the rows and temperatures at which weights may underflow. `_shifted` first divides each row
by its largest weight, which prevents underflow. On a GPU, where each operation takes microseconds
to launch, it does so for large blocks of rows, in few operations.

Shapes: N examples, t temperatures, r rows and c columns of a tile.
"""

import math
from collections.abc import Iterator
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

from layermix.geometry import weights
from layermix.geometry.distances import Distances

_LIFT = 96.0  # log2 of the factor that multiplies all weights in `_symmetric`
_LEAST = -90.0  # log2 of a sum times this factor, below which weights may underflow in float32
_ERROR = 1e-4  # maximum error of a log sum of `_symmetric`
_NOTHING = -60.0  # log2 of other / same, below which the loss is zero


class PairSums:
    """Sums over all pairs of N examples sorted by class; `counts` are the class sizes, (K,).

    Weights have the dtype of the distances, float32 or float64. Sums are float64.
    """

    def __init__(self, distances: Distances, counts: Tensor) -> None:
        self._distances, self.size = distances, distances.size
        self._ends = F.pad(counts.cumsum(0), (1, 0))  # of the classes, from 0 to N
        self._borders = self._ends.tolist()
        self._device = distances.device
        self.in_blocks = self._device.type != "cpu"
        self._nearest: tuple[Tensor, Tensor] | None = None  # largest -distance, same and other

    def log_sums(self, temperatures: Tensor, enough: float | None = None) -> tuple[Tensor, Tensor]:
        """Return the logarithms of `same` and `other` at each temperature, float64 (t, N).

        If `enough` is given, they are NaN at temperatures at which the loss is shown to be more
        than twice `enough`, or more than twice the lowest of these losses.
        """
        temperatures = temperatures / self._distances.scale / self._distances.scale
        small = self._distances.dtype == torch.float64 or self.size <= self._distances.rows
        if self.in_blocks or small:
            return self._shifted(temperatures, torch.arange(self.size, device=self._device))
        near = None if enough is None or self._nearest else self._nothing_near()
        same, other, low, wrong = self._symmetric(temperatures, near)
        self._nearest = near or self._nearest
        if wrong.any():
            self._correct(same, other, low, wrong, temperatures, enough)
        return same, other

    def sample(self) -> tuple[Tensor, float]:
        """Return the distances of some pairs, and the factor that gives squared distances."""
        sample = self._distances.sample()
        upper = torch.triu_indices(len(sample), len(sample), 1, device=sample.device)
        return sample[upper[0], upper[1]], self._distances.scale**2

    def nearest(self) -> Tensor:
        """Return the distance of each example to its nearest neighbor, (N,), in a search."""
        assert self._nearest is not None
        return -torch.maximum(*self._nearest)

    def _correct(
        self,
        same: Tensor,
        other: Tensor,
        low: Tensor,
        wrong: Tensor,
        temperatures: Tensor,
        enough: float | None,
    ) -> None:
        """Correct the sums of `_symmetric` in place where they may underflow.

        If the distance of the nearest pair is known, it is repeated with this distance subtracted
        from all others, which is enough if all nearest neighbors are similarly far away.
        """
        exact = ~wrong
        if enough is not None:
            self._exclude(same, other, wrong, exact, temperatures, enough)
        if self._nearest and wrong.any():
            again = wrong.nonzero()[:, 0]
            found = self._symmetric(temperatures[again])
            same[again], other[again], low[again], wrong[again] = found
            exact[again] = ~wrong[again]
        if enough is not None:
            self._exclude(same, other, wrong, exact, temperatures, enough)
        if wrong.any():
            rows = low[wrong].any(0).nonzero()[:, 0]
            index = wrong.nonzero(), rows
            same[index], other[index] = self._shifted(temperatures[wrong], rows)

    def _exclude(
        self,
        same: Tensor,
        other: Tensor,
        wrong: Tensor,
        exact: Tensor,
        temperatures: Tensor,
        enough: float,
    ) -> None:
        """Replace sums by NaN where a lower bound of the loss is above twice the lowest loss.

        The log of a sum of ``exp(-b d)`` is convex in b = 1 / T. So the line through two values is
        below all values at higher b. The log also decreases at least as fast as its largest term.
        The values have rounding errors, which the line multiplies.
        """
        good = exact.nonzero()[:, 0]
        good = good[temperatures[good].argsort()][:2]
        below = wrong & (temperatures < temperatures[good[0]]) if len(good) == 2 else wrong & False
        if not below.any() or self._nearest is None:
            return
        inverse, (near_same, near_other) = 1 / temperatures, (n.double() for n in self._nearest)
        first, second = good.tolist()
        further = (inverse[below] - inverse[first])[:, None]
        drop = (other[first] - other[second] - 2 * _ERROR) / (inverse[first] - inverse[second])
        line = other[first] - _ERROR + further * drop
        least = torch.maximum(line.nan_to_num(nan=-math.inf), inverse[below][:, None] * near_other)
        most = same[first] + _ERROR + further * near_same
        lowest = min(enough, *F.softplus(other[good] - same[good]).mean(1).tolist())
        above = F.softplus(least - most).mean(1) > 2 * lowest
        index = below.nonzero()[above, 0]
        same[index], other[index], wrong[index] = math.nan, math.nan, False

    def _symmetric(
        self, temperatures: Tensor, near: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the logarithms of the sums, and where they may underflow.

        This is a mask of the sums, (t, N), and of the temperatures at which it affects the loss. If
        `near` is given, the largest negative distances are written to it.
        """
        shift = 0.0 if self._nearest is None else float(self.nearest().min())
        chains = weights.chains_of(temperatures, _LIFT, shift)
        same, other = self._zeros(len(temperatures))
        for rows in self._distances.panels():
            panel = self._distances.negative(rows, slice(rows.start, self.size))
            edges = [rows.start, *range(rows.stop, self.size, weights.COLUMNS), self.size]
            for start, stop in pairwise(edges):
                columns = slice(start, stop)
                tile = panel[:, start - rows.start : stop - rows.start]
                both = start == rows.start  # the square tile has each pair twice
                for down, across in self._same_class(rows, columns):
                    inside = tile[_relative(down, rows), _relative(across, columns)]
                    second = None if both else across
                    weights.add_weights(same, inside.clone(), chains, down, second)
                    if near:
                        _set_nearest(near[0], inside, down, second)
                    inside.fill_(-math.inf)
                second = None if both else columns
                weights.add_weights(other, tile, chains, rows, second)
                if near:
                    _set_nearest(near[1], tile, rows, second)
        same, other = same.log_(), other.log_()
        nothing = other < same + _NOTHING * math.log(2)
        least = _LEAST * math.log(2)
        low = (same < least) | (other < least)
        wrong = ((same < least) | (other < least) & ~nothing).any(1)
        for chain in chains:
            for k, index in enumerate(chain.indices):
                lift = chain.lift * 2**k * math.log(2)
                same[index] -= lift
                other[index] -= lift
        return same, other, low, wrong

    def _shifted(self, temperatures: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logarithms of the sums of some rows, int64 (r,), without underflow."""
        found, near = [], self._nothing_near()
        for part in rows.split(self._distances.rows):
            panel = self._distances.negative(part, slice(0, self.size))
            both = []
            for values, nearest in zip((self._taken(panel, part), panel), near, strict=True):
                sums, nearest[part] = weights.shifted_log_sums(
                    values, temperatures, not self.in_blocks
                )
                both.append(sums)
            found.append(torch.stack(both))
        self._nearest = self._nearest or near
        same, other = torch.cat(found, 2)
        return same, other

    def _taken(self, panel: Tensor, rows: Tensor) -> Tensor:
        """Move same-class distances from `panel` to a tensor (r, size of the largest class).

        The number of operations does not depend on the number of classes.
        """
        ends = torch.searchsorted(self._ends, rows, right=True)  # of each row's class
        start, stop = self._ends[ends - 1, None], self._ends[ends, None]  # (r, 1)
        widest = max(high - low for low, high in pairwise(self._borders))
        columns = start + torch.arange(widest, device=panel.device)
        outside = columns >= stop
        columns = torch.where(outside, start, columns)
        taken = panel.gather(1, columns).masked_fill_(outside, -math.inf)
        panel.scatter_(1, columns, -math.inf)
        return taken

    def _same_class(self, rows: slice, columns: slice) -> Iterator[tuple[slice, slice]]:
        """Yield the (rows, columns) of each block of same-class pairs inside a tile."""
        for low, high in pairwise(self._borders):
            down, across = (slice(max(s.start, low), min(s.stop, high)) for s in (rows, columns))
            if down.start < down.stop and across.start < across.stop:
                yield down, across

    def _zeros(self, t: int) -> tuple[Tensor, ...]:
        return torch.zeros(2, t, self.size, dtype=torch.float64, device=self._device).unbind()

    def _nothing_near(self) -> tuple[Tensor, Tensor]:
        size, settings = self.size, {"dtype": self._distances.dtype, "device": self._device}
        same, other = torch.full((2, size), -math.inf, **settings)  # pyright: ignore[reportCallIssue, reportArgumentType]
        return same, other


def _set_nearest(nearest: Tensor, tile: Tensor, rows: slice, columns: slice | None) -> None:
    """Update the largest negative distances, (N,), of rows and, if given, columns."""
    nearest[rows] = torch.maximum(nearest[rows], tile.amax(1))
    if columns is not None:
        nearest[columns] = torch.maximum(nearest[columns], tile.amax(0))


def _relative(part: slice, whole: slice) -> slice:
    return slice(part.start - whole.start, part.stop - whole.start)
