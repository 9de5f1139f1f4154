"""Partners on other processes: what a plan's partners hold, here and on all ranks.

With partners across ranks the partner numbers of a plan count the joined batch, rank by rank; every
rank must have as many examples. The joined batch is gathered at the mix point, with its gradient.
"""

from typing import Any

import torch
from torch import Tensor

from layermix.errors import InputError


def place() -> tuple[int, int]:
    """Return the rank of this process and how many there are; (0, 1) where there is one."""
    distributed = torch.distributed
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1


def joined(x: Tensor) -> Tensor:
    """Return the examples of all ranks, (ranks * B, ...), from those of this one, (B, ...)."""
    if place()[1] == 1:
        return x
    if torch.compiler.is_compiling():
        # A compiled graph takes this one, whose gradient torch derives, and no autograd function.
        from torch.distributed._functional_collectives import all_gather_tensor_autograd

        everyone = torch.distributed.group.WORLD
        assert everyone is not None
        return all_gather_tensor_autograd(x.contiguous(), 0, everyone)
    return _Joined.apply(x)


def check_even(size: int) -> None:
    """Refuse batches of different sizes on the ranks; every rank calls it, and raises the error.

    The sizes are compared on the CPU where the process group can, so that no device is waited for.

    Raises
    ------
    InputError
        Naming the sizes of all ranks.
    """
    distributed = torch.distributed
    on_cpu = "cpu:" in distributed.get_backend_config()
    device = torch.device("cpu") if on_cpu else torch.accelerator.current_accelerator()
    own = torch.tensor([size], device=device)
    found = [torch.empty_like(own) for _ in range(place()[1])]
    distributed.all_gather(found, own)
    sizes = torch.cat(found).tolist()
    if len(set(sizes)) > 1:
        raise InputError(
            f"the batches of the ranks have {', '.join(map(str, sizes))} examples, but partners "
            "across ranks need batches of one size: load data with drop_last=True, or leave "
            "across out"
        )


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
