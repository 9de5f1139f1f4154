"""Weights, gradients and optimizer state that are divided among processes (FSDP2).

`torch.distributed.fsdp.fully_shard` (Zhao et al., 2023) divides each weight along its first
dimension. A block gathers its weights before its forward and backward pass, and frees them after.
"""

from collections import Counter
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor

from layermix.mixing.distributed import rank_info


def shard_model(model: nn.Module, device: torch.device) -> nn.Module:
    """Divide the weights of a model among all processes; it is changed in place, and returned."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh(device.type, (rank_info()[1],))
    model.to(memory_format=torch.contiguous_format)  # pyright: ignore[reportCallIssue]
    for block in _blocks(model):
        fully_shard(block, mesh=mesh)
    # By default, the weights of the outermost module stay gathered after a forward pass without a
    # backward pass; loading a checkpoint would not change those that the optimizer updates.
    fully_shard(model, mesh=mesh, reshard_after_forward=True)
    return model


def _blocks(model: nn.Module) -> Iterator[nn.Module]:
    """Yield the blocks of lists and sequences, inner ones first.

    Blocks whose weights other modules share are left out, because they must be gathered together.
    """
    shared = _shared_weights(model)
    for module in reversed(list(model.modules())):
        for block in module.children() if isinstance(module, nn.ModuleList | nn.Sequential) else ():
            weights = set(block.parameters())
            if weights and not weights & shared and next(block.children(), None) is not None:
                yield block


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
