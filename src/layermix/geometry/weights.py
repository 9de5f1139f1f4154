"""Sums of the weights exp(-distance / T) of a tile of pairs, at many temperatures T.

The weights at T / 2 are the squares of the weights at T, so no new exponential is needed.

Shapes: t temperatures, r rows and c columns of a tile.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

COLUMNS = 512  # columns of a tile, whose weights fit into the CPU cache
_SQUARINGS = 5  # maximum number of successive squarings: each doubles the rounding error


class Chain(NamedTuple):
    """A sequence of temperatures, each of which is half of the previous one."""

    scale: float  # log2(e) / T, for the first T
    lift: float  # log2 of the factor of the weights at the first T; each squaring doubles it
    indices: list[int]


def chains_of(temperatures: Tensor, last_lift: float = 0.0, shift: float = 0.0) -> list[Chain]:
    """Divide temperatures (t,) into chains.

    The lift at the last T of each is `last_lift`, plus that of a `shift` of all distances.
    """
    values, found = temperatures.tolist(), []
    for index in sorted(range(len(values)), key=lambda i: -values[i]):
        for chain in found:
            last = values[chain[-1]]
            if len(chain) <= _SQUARINGS and math.isclose(last, 2 * values[index]):
                chain.append(index)
                break
        else:
            found.append([index])
    scales = [math.log2(math.e) / values[chain[0]] for chain in found]
    return [
        Chain(scale, last_lift / 2 ** (len(chain) - 1) + shift * scale, chain)
        for scale, chain in zip(scales, found, strict=True)
    ]


def add_weights(
    sums: Tensor, tile: Tensor, chains: list[Chain], rows: slice, columns: slice | None
) -> None:
    """Add the weights of negative distances, (r, c), to the sums of their rows, float64 (t, N).

    If `columns` is given, they are also added to the sums of their columns.
    """
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


def shifted_log_sums(panel: Tensor, temperatures: Tensor, in_tiles: bool) -> tuple[Tensor, Tensor]:
    """Return the log sums of rows, each computed relative to its largest weight, which is 1.

    Parameters
    ----------
    panel
        Negative distances (r, c), which are overwritten.
    temperatures
        Float64 (t,), on the CPU.
    in_tiles
        If True, compute in tiles that fit into the CPU cache, else in few operations.

    Returns
    -------
    tuple of Tensor
        Log sums, float64 (t, r), and the largest value of each row, (r,); -inf for empty rows.
    """
    chains, at = chains_of(temperatures), temperatures.to(panel.device)
    nearest = panel.amax(1)
    top = nearest.clamp_min(torch.finfo(panel.dtype).min)[:, None]
    sums = panel.new_zeros(len(at), len(panel), dtype=torch.float64)
    if in_tiles:
        for tile in panel.split(COLUMNS, 1):
            add_weights(sums, tile.sub_(top), chains, slice(None), None)
    else:
        panel.sub_(top)
        for chain in chains:
            weights = torch.mul(panel, chain.scale).exp2_()
            for index in chain.indices:
                if index != chain.indices[0]:
                    weights.mul_(weights)
                torch.sum(weights, 1, dtype=torch.float64, out=sums[index])
    return sums.log_().add_(top.T / at[:, None]), nearest
