"""Squared distances between examples, for a block of rows and columns at a time.

Features are first divided by a power of two near their largest absolute value. No square then
overflows or vanishes in float32, and distances are in units of the square of that number.

Shapes: N examples, d features, r rows and c columns of a block.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

SMALL = 1 << 21  # up to so many distances in all are stored, in float64
_PANEL = 1 << 24  # largest number of distances in a panel of rows: 64 MB in float32
_ROWS = 256  # largest number of rows in a panel
_SAMPLE = 1000  # examples from which the typical distance is estimated
_EXPONENT, _EXPONENT_64 = 126, 500  # largest powers of two whose square and inverse are exact


@dataclass(frozen=True)
class Distances:
    """Squared distances between N examples, over `scale` squared, in panels of `rows` rows.

    `negative` returns -|x_i - x_j|^2 for rows and columns, (r, c), -inf where i = j, which the
    caller and the next call may overwrite. `sample` returns those of 1,000 examples, float64.
    """

    size: int
    rows: int
    scale: float
    dtype: torch.dtype
    device: torch.device
    negative: Callable[[slice, slice], Tensor]
    sample: Callable[[], Tensor]

    def panels(self) -> Iterator[slice]:
        """Yield the rows of each panel."""
        for start in range(0, self.size, self.rows):
            yield slice(start, min(start + self.rows, self.size))

    def nearest(self) -> Tensor:
        """Return the distance of each example to its nearest neighbor, (N,)."""
        columns = slice(0, self.size)
        return -torch.cat([self.negative(rows, columns).amax(1) for rows in self.panels()])


def stored_distances(squared: Tensor, scale: float = 1.0) -> Distances:
    """Return the distances in a matrix (N, N), whose diagonal is not used."""
    n, step = len(squared), -(-len(squared) // _SAMPLE)
    kept = (-squared).fill_diagonal_(-math.inf)
    return Distances(
        n,
        n if n * n <= SMALL else _ROWS,
        scale,
        squared.dtype,
        squared.device,
        negative=lambda rows, columns: kept[rows, columns].clone(),
        sample=lambda: -kept[::step, ::step].double(),
    )


def computed_distances(
    features: Tensor, order: Tensor, dtype: torch.dtype, center: bool = True
) -> Distances:
    """Return the distances between rows of features (N', d), by matrix products when needed.

    With `center` the mean is subtracted first, so that they lose fewer digits.
    """
    n, scale = len(order), power_of_two(features)
    right = features.new_ones(n, features.shape[1] + 2, dtype=dtype)  # [x, -|x|^2, 1]
    x, blocks = right[:, :-2], [slice(start, start + _ROWS) for start in range(0, n, _ROWS)]
    mean = torch.zeros(x.shape[1], dtype=torch.float64, device=x.device)
    for block in blocks:
        x[block] = features[order[block]].to(dtype) / scale
        if center:
            mean += x[block].sum(0, dtype=torch.float64) / n
    x -= mean.to(dtype)
    for block in blocks:
        right[block, -2] = -x[block].square().sum(1)
    most = n if n * n <= SMALL else max(1, min(_ROWS, _PANEL // n))
    buffer = right.new_empty(most * n)

    def negative(rows: slice, columns: slice) -> Tensor:
        left = right[rows].clone()
        left[:, :-2] *= 2
        left[:, -2:] = left[:, [-1, -2]]
        size = len(left), len(right[columns])
        panel = buffer[: math.prod(size)].view(size)
        with exact_products(right.device):
            torch.mm(left, right[columns].T, out=panel).clamp_max_(0)
        panel.diagonal(rows.start - columns.start).fill_(-math.inf)
        return panel

    def sample() -> Tensor:
        some = x[:: -(-n // _SAMPLE)].double()
        return torch.cdist(some, some).square()

    return Distances(n, most, scale, dtype, right.device, negative, sample)


def distances_of(
    features: Tensor, order: Tensor, dtype: torch.dtype, center: bool = True
) -> Distances:
    """Return the `computed_distances`, stored in float64 if they are few."""
    n = len(order)
    if n * n > SMALL:
        return computed_distances(features, order, dtype, center)
    computed = computed_distances(features, order, torch.float64, center)
    return stored_distances(-computed.negative(slice(0, n), slice(0, n)), computed.scale)


def power_of_two(features: Tensor) -> float:
    """Return a power of two near the largest absolute value, or 1 if all values are zero."""
    largest = max((float(part.abs().max()) for part in features.split(_ROWS)), default=0.0)
    if not largest:
        return 1.0
    limit = _EXPONENT_64 if features.dtype == torch.float64 else _EXPONENT
    return 2.0 ** min(limit, max(-limit, math.frexp(largest)[1]))


@contextmanager
def exact_products(device: torch.device) -> Iterator[None]:
    """Multiply float32 matrices in float32: without autocast, TF32 and bfloat16.

    torch has two interfaces for it. After the new one (`fp32_precision`) was used, reading the old
    one is an error, and so is a product on a GPU if both disagree: keep the one in use.
    """
    switches = (torch.backends.cuda.matmul, torch.backends.mkldnn.matmul)  # pyright: ignore[reportAttributeAccessIssue]
    before = [switch.fp32_precision for switch in switches]
    try:
        overall = torch.get_float32_matmul_precision()
    except RuntimeError:
        overall = None
    try:
        if overall is None:
            for switch in switches:
                switch.fp32_precision = "ieee"
        else:
            torch.set_float32_matmul_precision("highest")
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        if overall is not None:
            torch.set_float32_matmul_precision(overall)
        for switch, precision in zip(switches, before, strict=True):
            switch.fp32_precision = precision
