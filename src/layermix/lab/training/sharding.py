"""Weights, gradients and optimizer state that are divided among processes (FSDP2).

`torch.distributed.fsdp.fully_shard` (Zhao et al., 2023) divides each weight along its first
dimension. A block gathers its weights before its forward and backward pass, and frees them after.
"""

from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor

from layermix.errors import InputError, RunError
from layermix.hooks.batch import Batch, call
from layermix.mixing.distributed import rank_info

_BASE, _MODULUS = 1_000_003, 2**61 - 1


def shard_model(model: nn.Module, device: torch.device, x: Batch) -> nn.Module:
    """Divide the weights of a model among all processes; it is changed in place, and returned.

    `x` are a few examples, with which it is called. A model that cannot be divided raises an
    `InputError`.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    if scalars := [name for name, weight in model.named_parameters() if weight.ndim == 0]:
        raise InputError(
            f"shard is True, but the weight {scalars[0]!r} is a scalar, which cannot be divided: "
            "give it the shape (1,), or leave out --shard"
        )
    mesh = init_device_mesh(device.type, (rank_info()[1],))
    model.to(memory_format=torch.contiguous_format)  # pyright: ignore[reportCallIssue]
    for block in _blocks(model, _called_modules(model, x)):
        fully_shard(block, mesh=mesh)
    # By default, the weights of the outermost module stay gathered after a forward pass without a
    # backward pass; loading a checkpoint would not change those that the optimizer updates.
    fully_shard(model, mesh=mesh, reshard_after_forward=True)
    return model


def _called_modules(model: nn.Module, x: Batch) -> set[nn.Module]:
    """Return the modules that a forward pass calls; weights are only gathered for these."""
    called: set[nn.Module] = set()
    handles = [
        module.register_forward_pre_hook(lambda module, _: called.add(module))
        for module in model.modules()
    ]
    was_training = model.training
    with torch.no_grad():
        call(model.eval(), x)
    model.train(was_training)
    for handle in handles:
        handle.remove()
    return called


def _blocks(model: nn.Module, called: set[nn.Module]) -> Iterator[nn.Module]:
    """Yield the blocks of lists and sequences that are called, once each, inner ones first.

    Blocks whose weights other modules share are left out, because they must be gathered together.
    """
    shared = _shared_weights(model)
    lists = [m for m in model.modules() if isinstance(m, nn.ModuleList | nn.Sequential)]
    inside = {block for module in lists for block in module.children()} & called
    for block in reversed(list(model.modules())):
        weights = set(block.parameters()) if block in inside else set()
        if weights and not weights & shared and next(block.children(), None) is not None:
            yield block


class BlockOrder:
    """Checks that all processes call the blocks of a divided model in the same order.

    Otherwise, weights of different blocks would be gathered together without an error.
    """

    def __init__(self, model: nn.Module) -> None:
        from torch.distributed.fsdp import FSDPModule

        self._state = 0
        divided = [module for module in model.modules() if isinstance(module, FSDPModule)]
        for number, module in enumerate(divided, 1):
            module.register_forward_pre_hook(partial(self._count, number))

    def _count(self, number: int, *_: Any) -> None:
        self._state = (self._state * _BASE + number) % _MODULUS

    def check(self) -> None:
        """Raise a `RunError` on all processes if their orders differed; all must call this."""
        states = [0] * rank_info()[1]
        torch.distributed.all_gather_object(states, self._state)
        if len(set(states)) > 1:
            raise RunError(
                "the processes called the blocks of the model in different orders, for example at "
                "random, so that --shard mixed their weights: leave out --shard"
            )


def _shared_weights(model: nn.Module) -> set[nn.Parameter]:
    named = (weight for module in model.modules() for weight in module.parameters(recurse=False))
    users = Counter(named)
    return {weight for weight, count in users.items() if count > 1}


def local_part(tensor: Tensor) -> Tensor:
    """Return the part of a divided tensor that this process has, which shares its memory."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def whole_tensor(tensor: Tensor) -> Tensor:
    """Return a whole tensor; if it is divided, every process must call this function."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


@torch.no_grad()
def copy_whole(tensor: Tensor, values: Tensor) -> None:
    """Copy whole values, which every process has, into a tensor that may be divided."""
    if isinstance(tensor, DTensor):
        values = values.to(tensor.device, tensor.dtype)
        values = distribute_tensor(
            values, tensor.device_mesh, tensor.placements, src_data_rank=None
        )
    tensor.copy_(values)
