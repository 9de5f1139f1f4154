"""Data parallel training: ranks, a seed that they share, and the joined batch of all of them.

Cross-rank partners index the joined batch, rank by rank; all ranks must have as many examples.
`sampler.py` decides which numbers of a draw the ranks share.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from layermix.errors import InputError


def rank_info() -> tuple[int, int]:
    """Return the rank of this process and the number of ranks; (0, 1) without a process group."""
    distributed = torch.distributed
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1


def shared_seed(seed: int) -> int:
    """Return the seed of rank 0; every rank must call it."""
    if rank_info()[1] == 1:
        return seed
    found = [seed]
    torch.distributed.broadcast_object_list(found, src=0)
    return found[0]


def gathered(x: Tensor) -> Tensor:
    """Return the examples of all ranks, (ranks * B, ...), from those of this one, (B, ...)."""
    if rank_info()[1] == 1:
        return x
    if torch.compiler.is_compiling():  # a compiled graph takes no autograd function
        from torch.distributed._functional_collectives import all_gather_tensor_autograd

        assert torch.distributed.group.WORLD is not None
        return all_gather_tensor_autograd(x.contiguous(), 0, torch.distributed.group.WORLD)
    return _Gathered.apply(x)


def agreement(model: nn.Module) -> Callable[[bool], bool]:
    """Return a function that returns True if a condition holds on this rank.

    With sharded parameters it holds on any rank, because each forward pass needs all of them.
    """
    if rank_info()[1] == 1 or not any(type(m).__name__.startswith("FSDP") for m in model.modules()):
        return bool

    def any_rank(condition: bool) -> bool:
        found = torch.tensor(float(condition), device=next(model.parameters()).device)
        torch.distributed.all_reduce(found, torch.distributed.ReduceOp.MAX)
        return bool(found)

    return any_rank


def check_even(size: int) -> None:
    """Raise an `InputError` on all ranks if their batches differ in size; every rank must call it.

    The sizes are compared on the CPU if the process group can, which waits for no device.
    """
    distributed = torch.distributed
    on_cpu = "cpu:" in distributed.get_backend_config()
    device = "cpu" if on_cpu else torch.accelerator.current_accelerator()
    own = torch.tensor([size], device=device)
    found = [torch.empty_like(own) for _ in range(rank_info()[1])]
    distributed.all_gather(found, own)
    sizes = torch.cat(found).tolist()
    if len(set(sizes)) > 1:
        raise InputError(
            f"the batches of the ranks have {', '.join(map(str, sizes))} examples, but partners "
            "across ranks need batches of one size: load data with drop_last=True, or leave "
            "cross_rank out"
        )


class _Gathered(torch.autograd.Function):
    """Gather in the forward pass; sum the gradients of all ranks in the backward pass."""

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        x = x.contiguous()
        parts = [torch.empty_like(x) for _ in range(rank_info()[1])]
        torch.distributed.all_gather(parts, x)
        return torch.cat(parts)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Tensor) -> None:
        """Save nothing: the gather is linear."""

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        whole = grads[0].contiguous().clone()
        torch.distributed.all_reduce(whole)
        rank, ranks = rank_info()
        return whole.chunk(ranks)[rank]
