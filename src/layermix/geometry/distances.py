"""Squared distances between N examples, some rows and columns at a time.

`Kept` holds all N x N of them, `Computed` takes them from matrix products as they are asked for.

Features are divided by a power of two first, near their largest absolute value, so that no square
overflows or vanishes in float32; distances are in units of that number's square.

Shapes: N examples, d features, r rows and c columns that are asked for.
"""

import math
from typing import Protocol

import torch
from torch import Tensor

from layermix.geometry.precision import full_precision

SMALL = 1 << 21  # distances that are kept, in float64, where there are no more in all
_PANEL = 1 << 24  # most distances of a panel of rows: 64 MB in float32
_ROWS = 256  # most rows of a panel
_TYPICAL = 1000  # examples whose distances tell the scale
_EXPONENT, _EXPONENT_64 = 126, 500  # of the powers of two that divide, and square, without loss


class Distances(Protocol):
    """What the sums over all pairs need of the distances."""

    size: int  # N
    rows: int  # rows that are asked for at a time
    dtype: torch.dtype
    device: torch.device
    scale: float  # distances are in units of its square

    def negative(self, rows: slice, columns: slice) -> Tensor:
        """Return -|x_i - x_j|^2, (r, c), minus infinity where i = j, to be overwritten."""
        ...

    def few(self) -> Tensor:
        """Return the distances between 1,000 evenly chosen examples at most, float64."""
        ...

    def nearest(self) -> Tensor:
        """Return the distance of each example to its nearest neighbour, (N,)."""
        ...


class Kept:
    """Distances that are there, (N, N), what stands on the diagonal aside."""

    def __init__(self, squared: Tensor, scale: float = 1.0) -> None:
        self.size, self.dtype, self.device = len(squared), squared.dtype, squared.device
        self.scale = scale
        self.rows = self.size if self.size**2 <= SMALL else _ROWS
        self._negative = -squared
        self._negative.fill_diagonal_(-math.inf)

    def negative(self, rows: slice, columns: slice) -> Tensor:
        """Return -|x_i - x_j|^2, (r, c), minus infinity where i = j, to be overwritten."""
        return self._negative[rows, columns].clone()

    def few(self) -> Tensor:
        """Return the distances between 1,000 evenly chosen examples at most, float64."""
        step = _step(self.size)
        return -self._negative[::step, ::step].double()

    def nearest(self) -> Tensor:
        """Return the distance of each example to its nearest neighbour, (N,)."""
        return -self._negative.amax(1)


class Computed:
    """Distances by matrix products, as they are asked for.

    Parameters
    ----------
    features
        Shape (N', d), floating point; left as they are.
    order
        Indices of the N examples that count.
    dtype
        float32 or float64.
    centre
        Take the mean off first: differences stay what they are, and lose fewer digits.
    """

    def __init__(
        self, features: Tensor, order: Tensor, dtype: torch.dtype, centre: bool = True
    ) -> None:
        n = len(order)
        self.size, self.dtype, self.device = n, dtype, features.device
        self.rows = n if n * n <= SMALL else max(1, min(_ROWS, _PANEL // n))
        self._right = features.new_ones(n, features.shape[1] + 2, dtype=dtype)  # [x, -|x|^2, 1]
        self.scale = power_of_two(features)
        x, blocks = self._right[:, :-2], range(0, n, _ROWS)
        mean = torch.zeros(x.shape[1], dtype=torch.float64, device=x.device)
        for start in blocks:
            rows = features[order[start : start + _ROWS]].to(dtype)
            x[start : start + _ROWS] = rows / self.scale
            if centre:
                mean += x[start : start + _ROWS].sum(0, dtype=torch.float64) / n
        x -= mean.to(dtype)
        for start in blocks:
            self._right[start : start + _ROWS, -2] = -x[start : start + _ROWS].square().sum(1)
        self._room = self._right.new_empty(self.rows * n)  # for a panel

    def negative(self, rows: slice, columns: slice) -> Tensor:
        """Return -|x_i - x_j|^2, (r, c), minus infinity where i = j, to be overwritten."""
        left = self._right[rows].clone()
        left[:, :-2] *= 2
        left[:, -2:] = left[:, [-1, -2]]
        right = self._right[columns]
        panel = self._room[: len(left) * len(right)].view(len(left), len(right))
        with full_precision(self.device):
            torch.mm(left, right.T, out=panel).clamp_max_(0)
        panel.diagonal(rows.start - columns.start).fill_(-math.inf)
        return panel

    def few(self) -> Tensor:
        """Return the distances between 1,000 evenly chosen examples at most, float64."""
        some = self._right[:: _step(self.size), :-2].double()
        return torch.cdist(some, some).square()

    def nearest(self) -> Tensor:
        """Return the distance of each example to its nearest neighbour, (N,)."""
        starts, everything = range(0, self.size, self.rows), slice(0, self.size)
        panels = (slice(start, min(start + self.rows, self.size)) for start in starts)
        return -torch.cat([self.negative(rows, everything).amax(1) for rows in panels])


def all_distances(
    features: Tensor, order: Tensor, dtype: torch.dtype, centre: bool = True
) -> Distances:
    """Return the distances between those of the examples, kept in float64 where they are few.

    Parameters are those of `Computed`; there, dtype is what more distances are computed in.
    """
    n = len(order)
    if n * n > SMALL:
        return Computed(features, order, dtype, centre)
    everything = slice(0, n)
    computed = Computed(features, order, torch.float64, centre)
    return Kept(-computed.negative(everything, everything), computed.scale)


def power_of_two(features: Tensor) -> float:
    """Return a power of two near the largest absolute value; 1 where all are zero."""
    largest = max((float(part.abs().max()) for part in features.split(_ROWS)), default=0.0)
    if not largest:
        return 1.0
    most = _EXPONENT_64 if features.dtype == torch.float64 else _EXPONENT
    return 2.0 ** min(most, max(-most, math.frexp(largest)[1]))


def _step(size: int) -> int:
    return -(-size // _TYPICAL)
