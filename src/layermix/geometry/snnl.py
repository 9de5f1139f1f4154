"""Soft nearest neighbor loss: how entangled are the classes in a representation?

Frosst, Papernot, Hinton (2019), "Analyzing and Improving Representations with the Soft Nearest
Neighbor Loss", equation 1: the mean over examples i of

    -log( sum over j != i with y_j = y_i of exp(-|x_i - x_j|^2 / T)
        / sum over k != i               of exp(-|x_i - x_k|^2 / T) )

Low: neighbours share the class. At chance level, log((N-1) / (n_c-1)) averaged over the examples
(n_c members of the own class), the classes lie over one another. The value depends on N, so that
layers are compared at equal N only.

Shapes: N examples, d features, t temperatures, r rows of a block.
"""

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from layermix.errors import InputError

# A block of distances, and the largest intermediate tensor of t temperatures by r rows by N
# columns, have about this many float64 numbers (16 MiB). Up to twice as many distances are kept
# for all passes over the temperatures; more are computed anew in each pass.
_BLOCK_NUMBERS = 1 << 21

# The minimum over T is searched between these multiples of the median squared distance, first on
# a grid, then around its lowest valleys (data of several scales have more than one) with steps
# that shrink to a third each time.
_T_RANGE = (1e-4, 1e4)
_T_GRID = 17
_T_VALLEYS = 3
_T_REFINEMENTS = 4


class _ValueAtTemperature(NamedTuple):
    value: float
    temperature: float


class SNNL(_ValueAtTemperature):
    """The pair (value, temperature), and what one must know to read it.

    Attributes
    ----------
    value
        The loss in nats, over the examples that have a companion of their class.
    temperature
        The temperature T it was taken at, in squared units of the features.
    chance
        The value that classes lying over one another have.
    n
        Number of examples that counted.
    classes
        Number of classes that counted.
    singletons
        Number of examples left out because theirs is the only one of its class.
    """

    chance: float
    n: int
    classes: int
    singletons: int


def snnl(features: Tensor, labels: Tensor, temperature: float | None = None) -> SNNL:
    """Measure the soft nearest neighbor loss, exactly, in float64, block by block.

    Parameters
    ----------
    features
        Floating-point tensor of shape (N, ...), flattened to (N, d).
    labels
        Integer classes, shape (N,). Classes with a single member are left out and counted.
    temperature
        T > 0, in squared units of the features. Left out: the minimum over T, which makes the
        value independent of the features' scale.

    Returns
    -------
    SNNL
        Unpacks as ``value, temperature``; also has chance level, n, classes and singletons.

    Raises
    ------
    InputError
        For shapes that do not fit, features that are not finite, T <= 0, or no class with two
        members.
    """
    _check(features, labels, temperature)
    device = "cpu" if features.device.type == "mps" else features.device  # no float64 there
    x = features.detach().to(device).flatten(1).to(torch.float64)  # (N, d)
    _, y, counts = labels.to(device).unique(return_inverse=True, return_counts=True)
    keep = counts[y] > 1
    if not keep.any():
        raise InputError(
            f"none of the {len(counts)} classes has two members among {len(x)} examples, so no "
            "example has a companion: measure more examples"
        )
    x = x[keep][y[keep].argsort(stable=True)]  # class by class
    x = x - x.mean(0)  # centred, distances lose fewer digits
    counts = counts[counts > 1]
    n = len(x)
    chance = float((counts * torch.log((n - 1) / (counts.double() - 1))).sum() / n)

    kept = list(_blocks(x, counts)) if n * n <= 2 * _BLOCK_NUMBERS else None

    def loss(temperatures: Tensor) -> Tensor:
        blocks = _blocks(x, counts) if kept is None else kept
        total = sum(_row_losses(*block, temperatures.to(x.device)).sum(1) for block in blocks)
        return torch.as_tensor(total / n).cpu()

    if temperature is None:
        value, temperature = _minimum(loss, _median_distance(x))
    else:
        value = float(loss(torch.tensor([temperature], dtype=torch.float64)))
    result = SNNL(value, float(temperature))
    result.chance, result.n = chance, n
    result.classes, result.singletons = len(counts), int((~keep).sum())
    return result


def _blocks(x: Tensor, counts: Tensor) -> Iterator[tuple[Tensor, slice]]:
    """Yield squared distances of some rows to all, (r, N), with the columns of the rows' class.

    `x` is sorted by class. The distance of a row to itself is infinite.
    """
    norms, step, end = x.square().sum(1), max(1, _BLOCK_NUMBERS // len(x)), 0
    for size in counts.tolist():
        start, end = end, end + size
        for row in range(start, end, step):
            rows = slice(row, min(row + step, end))
            yield _squared_distances(x, norms, rows), slice(start, end)


def _row_losses(distance: Tensor, own_class: slice, temperatures: Tensor) -> Tensor:
    """Return each row's loss at each temperature, shape (t, r)."""
    step = max(1, _BLOCK_NUMBERS // distance.shape[1] // len(temperatures))
    parts = [
        _log_sum_exp(rows, temperatures) - _log_sum_exp(rows[:, own_class], temperatures)
        for rows in distance.split(step)
    ]
    return torch.cat(parts, 1)


def _squared_distances(x: Tensor, norms: Tensor, rows: slice) -> Tensor:
    """Return |x_i - x_j|^2 for the rows i, shape (r, N), infinite where j = i."""
    distance = (norms[rows, None] + norms - 2 * x[rows] @ x.T).clamp_min_(0)
    index = torch.arange(len(distance), device=x.device)
    distance[index, index + rows.start] = math.inf
    return distance


def _log_sum_exp(distance: Tensor, temperatures: Tensor) -> Tensor:
    """Return log sum over j of exp(-distance[:, j] / T) for every T, shape (t, r).

    Each row is shifted by its own smallest distance, so that nothing underflows.
    """
    nearest = distance.min(1).values
    inverse = 1 / temperatures[:, None]  # (t, 1)
    exponents = (nearest[:, None] - distance) * inverse[..., None]  # (t, r, N)
    return exponents.exp_().sum(2).log() - nearest * inverse


def _minimum(loss: Callable[[Tensor], Tensor], scale: float) -> tuple[float, float]:
    """Return the least loss over T and its T: a grid in log T, refined in its lowest valleys."""
    low, high = (math.log(scale * factor) for factor in _T_RANGE)
    grid = torch.linspace(low, high, _T_GRID, dtype=torch.float64)
    values = loss(grid.exp())
    width = (high - low) / (_T_GRID - 1)
    return min(_refined(loss, grid[i : i + 1], values[i : i + 1], width) for i in _valleys(values))


def _valleys(values: Tensor) -> list[int]:
    """Return the indices of the lowest local minima, the lowest first."""
    padded = [math.inf, *values.tolist(), math.inf]
    found = [i for i in range(len(values)) if padded[i] > padded[i + 1] <= padded[i + 2]]
    return sorted(found, key=lambda i: padded[i + 1])[:_T_VALLEYS]


def _refined(
    loss: Callable[[Tensor], Tensor], tried: Tensor, values: Tensor, width: float
) -> tuple[float, float]:
    """Return the least loss within `width` of the one log T tried so far, and its T."""
    for _ in range(_T_REFINEMENTS):
        width /= 3
        steps = width * torch.tensor([-2.0, -1.0, 1.0, 2.0], dtype=torch.float64)
        near = tried[values.argmin()] + steps
        tried, values = torch.cat([tried, near]), torch.cat([values, loss(near.exp())])
    best = int(values.argmin())
    return float(values[best]), math.exp(float(tried[best]))


def _median_distance(x: Tensor) -> float:
    """Return the median squared distance between (at most 1,000 evenly chosen) examples.

    Pairs that coincide, up to rounding, have no scale and do not count.
    """
    some = x[:: -(-len(x) // 1000)]
    distance = _squared_distances(some, some.square().sum(1), slice(0, len(some)))
    distance = distance[distance.isfinite()]
    apart = distance[distance > 1e-12 * distance.max()]
    return float(apart.median()) if len(apart) else 1.0


def _check(features: Tensor, labels: Tensor, temperature: float | None) -> None:
    if not features.is_floating_point():
        raise InputError(f"features must be floating point, but are {features.dtype}")
    if labels.ndim != 1 or labels.is_floating_point():
        raise InputError(
            f"labels must be integer classes of shape (N,), but are {labels.dtype} of shape "
            f"{tuple(labels.shape)}"
        )
    if features.ndim < 2 or len(features) != len(labels):
        raise InputError(
            f"features must have shape (N, ...) with N = {len(labels)} as the labels, but have "
            f"{tuple(features.shape)}"
        )
    bad = ~features.isfinite().flatten(1).all(1)
    if bad.any():
        first = int(bad.nonzero()[0])
        raise InputError(
            f"{int(bad.sum())} of {len(bad)} examples have features that are NaN or infinite, "
            f"the first at row {first}: leave them out, or look for the layer that made them"
        )
    if temperature is not None and not (math.isfinite(temperature) and temperature > 0):
        raise InputError(f"the temperature is {temperature!r}, but must be finite and > 0")
