"""Partners on other processes: what a plan's partners hold, here and on all ranks.

With partners across ranks the partner numbers of a plan count the joined batch, rank by rank; every
rank must have as many examples. The joined batch is gathered at the mix point, with its gradient.
"""

from typing import Any

import torch
from torch import Tensor


def place() -> tuple[int, int]:
    """Return the rank of this process and how many there are; (0, 1) where there is one."""
    distributed = torch.distributed
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1


def joined(x: Tensor) -> Tensor:
    """Return the examples of all ranks, (ranks * B, ...), from those of this one, (B, ...)."""
    return _Joined.apply(x) if place()[1] > 1 else x


class _Joined(torch.autograd.Function):
    """Gather forward; backward, what all ranks make of the examples of this one is summed."""

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        parts = [
            torch.empty_like(x, memory_format=torch.contiguous_format) for _ in range(place()[1])
        ]
        torch.distributed.all_gather(parts, x.contiguous())
        return torch.cat(parts)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Tensor) -> None:
        """Nothing is kept: the gather is linear."""

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        whole = grads[0].contiguous().clone()
        torch.distributed.all_reduce(whole)
        rank, ranks = place()
        return whole.chunk(ranks)[rank]
