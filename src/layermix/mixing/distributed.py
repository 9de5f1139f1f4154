"""Data parallel training: ranks, a shared seed, and the joined batch of all ranks.

Cross-rank partners are indices into the joined batch, which is ordered by rank. All ranks must have
the same batch size. `sampler.py` defines which random numbers the ranks share.
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


def from_first(value: Any) -> Any:
    """Return the value of rank 0 on all ranks; every rank must call this function."""
    if rank_info()[1] == 1:
        return value
    found = [value]
    torch.distributed.broadcast_object_list(found, src=0)
    return found[0]


def gathered(x: Tensor) -> Tensor:
    """Gather the examples of all ranks: (B, ...) becomes (ranks * B, ...)."""
    if rank_info()[1] == 1:
        return x
    if torch.compiler.is_compiling():  # no autograd function in a compiled graph
        from torch.distributed._functional_collectives import all_gather_tensor_autograd

        assert torch.distributed.group.WORLD is not None
        return all_gather_tensor_autograd(x.contiguous(), 0, torch.distributed.group.WORLD)
    return _Gathered.apply(x)


def is_sharded(model: nn.Module) -> bool:
    """Return True if the parameters of a model are sharded (FSDP)."""
    return any(type(module).__name__.startswith("FSDP") for module in model.modules())


def agreement(model: nn.Module) -> Callable[[bool], bool]:
    """Return a function that returns True on all ranks if its argument is True on any rank.

    Ranks with sharded parameters must agree, because each forward pass needs all of them.
    """
    if rank_info()[1] == 1 or not is_sharded(model):
        return bool

    def any_rank(condition: bool) -> bool:
        found = torch.tensor(float(condition), device=next(model.parameters()).device)
        torch.distributed.all_reduce(found, torch.distributed.ReduceOp.MAX)
        return bool(found)

    return any_rank


def check_even(size: int) -> None:
    """Raise an `InputError` if batch sizes differ between ranks; every rank must call this.

    The sizes are compared on the CPU if the process group supports it, to avoid a device sync.
    """
    distributed = torch.distributed
    on_cpu = "cpu:" in distributed.get_backend_config()
    device = "cpu" if on_cpu else torch.accelerator.current_accelerator()
    local = torch.tensor([size], device=device)
    found = [torch.empty_like(local) for _ in range(rank_info()[1])]
    distributed.all_gather(found, local)
    sizes = torch.cat(found).tolist()
    if len(set(sizes)) > 1:
        raise InputError(
            f"the batches of the ranks have {', '.join(map(str, sizes))} examples, but partners "
            "across ranks need equal batch sizes: load data with drop_last=True, or leave out "
            "cross_rank"
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
