"""Squared distances between examples, computed in blocks of rows and columns.

Features are first divided by a power of two near their largest absolute value, the `scale`. This
prevents overflow and underflow of the squares in float32. Distances are in units of `scale`**2.

Shapes: N examples, d features, r rows and c columns of a block.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

SMALL = 1 << 21  # maximum number of distances that are stored, in float64
_PANEL = 1 << 24  # maximum number of distances in a panel, a block of rows: 64 MB in float32
_ROWS = 256  # maximum number of rows in a panel on the CPU
_BLOCK = 1 << 25  # distances in a panel on a GPU: 134 MB in float32, as much as their weights
_SAMPLE = 1000  # number of examples used to estimate the typical distance
_EXPONENT, _EXPONENT_64 = 126, 500  # largest powers of two whose square and inverse are exact


@dataclass(frozen=True)
class Distances:
    """Squared distances between N examples, divided by `scale`**2, in blocks of `rows` rows.

    `negative` returns -|x_i - x_j|^2 for rows and columns, (r, c), with -inf where i = j. Rows may
    be indices, int64 (r,), if the columns start at 0. The result may be overwritten. `sample`
    returns the distances between about 1,000 examples, float64.
    """

    size: int
    rows: int
    scale: float
    dtype: torch.dtype
    device: torch.device
    negative: Callable[[slice | Tensor, slice], Tensor]
    sample: Callable[[], Tensor]

    def panels(self) -> Iterator[slice]:
        """Yield slices of rows so small that their distances to all rows fit into memory."""
        for start in range(0, self.size, self.rows):
            yield slice(start, min(start + self.rows, self.size))


def stored_distances(squared: Tensor, scale: float = 1.0) -> Distances:
    """Create `Distances` from a matrix of squared distances (N, N); the diagonal is ignored."""
    n, step = len(squared), -(-len(squared) // _SAMPLE)
    kept = (-squared).fill_diagonal_(-math.inf)
    return Distances(
        n,
        n if n * n <= SMALL else _rows(n, squared.device),
        scale,
        squared.dtype,
        squared.device,
        negative=lambda rows, columns: kept[rows, columns].clone(),
        sample=lambda: -kept[::step, ::step].double(),
    )


def computed_distances(
    features: Tensor, order: Tensor, dtype: torch.dtype, center: bool = True
) -> Distances:
    """Return the `Distances` between the rows `order` of features (N', d), computed on demand.

    If `center` is True, the mean is subtracted first, which reduces the rounding error.
    """
    n, scale = len(order), power_of_two(features)
    right = features.new_ones(n, features.shape[1] + 2, dtype=dtype)  # [x, -|x|^2, 1]
    most = n if n * n <= SMALL else _rows(n, right.device)
    x, blocks = right[:, :-2], [slice(start, start + most) for start in range(0, n, most)]
    mean = torch.zeros(x.shape[1], dtype=torch.float64, device=x.device)
    for block in blocks:
        x[block] = features[order[block]].to(dtype) / scale
        if center:
            mean += x[block].sum(0, dtype=torch.float64) / n
    x -= mean.to(dtype)
    for block in blocks:
        right[block, -2] = -x[block].square().sum(1)
    buffer = right.new_empty(most * n)

    def negative(rows: slice | Tensor, columns: slice) -> Tensor:
        left = right[rows].clone()
        left[:, :-2] *= 2
        left[:, -2:] = left[:, [-1, -2]]
        size = len(left), len(right[columns])
        panel = buffer[: math.prod(size)].view(size)
        with exact_products(right.device):
            torch.mm(left, right[columns].T, out=panel).clamp_max_(0)
        if isinstance(rows, slice):
            panel.diagonal(rows.start - columns.start).fill_(-math.inf)
        else:
            panel.scatter_(1, rows[:, None], -math.inf)
        return panel

    def sample() -> Tensor:
        some = x[:: -(-n // _SAMPLE)].double()
        return torch.cdist(some, some).square()

    return Distances(n, most, scale, dtype, right.device, negative, sample)


def _rows(n: int, device: torch.device) -> int:
    """Return the number of rows in a panel of `n` columns."""
    rows = min(_ROWS, _PANEL // n) if device.type == "cpu" else min(n, _BLOCK // n)
    return max(1, rows)


def distances_of(
    features: Tensor, order: Tensor, dtype: torch.dtype, center: bool = True
) -> Distances:
    """Return the `computed_distances`, stored as a float64 matrix if there are few examples."""
    n = len(order)
    if n * n > SMALL:
        return computed_distances(features, order, dtype, center)
    computed = computed_distances(features, order, torch.float64, center)
    return stored_distances(-computed.negative(slice(0, n), slice(0, n)), computed.scale)


def power_of_two(features: Tensor) -> float:
    """Return a power of two near the largest absolute value, or 1 if all values are zero."""
    return float(scale_of(features))


def scale_of(features: Tensor) -> Tensor:
    """Do as `power_of_two` without waiting for a GPU; float64 ()."""
    parts = [part.abs().max() for part in features.split(_ROWS) if part.numel()]
    largest = torch.stack(parts).max().double() if parts else torch.zeros((), dtype=torch.float64)
    limit = _EXPONENT_64 if features.dtype == torch.float64 else _EXPONENT
    exponent = torch.frexp(largest).exponent.clamp(-limit, limit)
    return 2.0 ** exponent.double()


@contextmanager
def exact_products(device: torch.device) -> Iterator[None]:
    """Disable autocast, TF32 and bfloat16 for float32 matrix products inside the block.

    torch has two interfaces for the precision. After the new one (`fp32_precision`) was used, torch
    raises an error if the old one is read, or if both disagree. So the interface in use is kept.
    """
    backends = (torch.backends.cuda.matmul, torch.backends.mkldnn.matmul)  # pyright: ignore[reportAttributeAccessIssue]
    before = [backend.fp32_precision for backend in backends]
    try:
        overall = torch.get_float32_matmul_precision()
    except RuntimeError:
        overall = None
    try:
        if overall is None:
            for backend in backends:
                backend.fp32_precision = "ieee"
        else:
            torch.set_float32_matmul_precision("highest")
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        if overall is not None:
            torch.set_float32_matmul_precision(overall)
        for backend, precision in zip(backends, before, strict=True):
            backend.fp32_precision = precision
