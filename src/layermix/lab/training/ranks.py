"""One run on several processes, started by ``torchrun``: data parallel training.

All processes draw the same joined batch, its augmentation and its plan, and each trains on its
part. Gradients are averaged, so that the run equals one of a single process, up to rounding and
random operations of the model, such as dropout.
"""

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from layermix.errors import InputError, LayermixError, RunError
from layermix.hooks.batch import Batch
from layermix.lab.training.joined_norm import with_joined_norms
from layermix.lab.training.sharding import shard_model
from layermix.mixing.distributed import rank_info


def is_launched() -> bool:
    """Return True if this is one of several processes of `torchrun`."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1 and "RANK" in os.environ


@contextmanager
def process_group() -> Iterator[tuple[int, int]]:
    """Inside the block, the processes of `torchrun` are connected; yield rank and their number.

    Without several processes, it yields (0, 1).
    """
    if not is_launched() or torch.distributed.is_initialized():
        yield rank_info()
        return
    local = int(os.environ.get("LOCAL_RANK", "0"))
    if torch.cuda.is_available():
        torch.cuda.set_device(local % torch.cuda.device_count())
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    torch.distributed.init_process_group(backend)
    try:
        yield rank_info()
    finally:
        gc.collect()  # divided modules, in reference cycles, hold the group and its threads
        torch.distributed.destroy_process_group()


@contextmanager
def lost_ranks() -> Iterator[None]:
    """Raise a clear `RunError` if another process ends during the block."""
    try:
        yield
    except RuntimeError as error:  # also torch's errors of a backend
        text, lost = str(error).lower(), ("peer", "gloo", "nccl", "socket")
        ours = isinstance(error, LayermixError)
        if ours or rank_info()[1] == 1 or not any(word in text for word in lost):
            raise
        raise RunError(
            "another process of the run ended: see its message above. Repeat the command to "
            "continue from the last checkpoint"
        ) from error


def parallel_model(
    model: nn.Module, device: torch.device, x: Batch, *, joined_norms: bool, shard: bool
) -> nn.Module:
    """Return a model whose gradients are averaged over the processes; it is changed in place.

    If `joined_norms` is True, batch norms use the statistics of the joined batch. If `shard` is
    True, each process has a part of the weights (`shard_model`, with examples `x`), otherwise all.
    """
    if joined_norms and device.type == "cuda":
        model = nn.SyncBatchNorm.convert_sync_batchnorm(model)
    elif joined_norms:
        model = with_joined_norms(model)
    if shard:
        return shard_model(model, device, x)
    devices = [torch.cuda.current_device()] if device.type == "cuda" else None
    return nn.parallel.DistributedDataParallel(model, device_ids=devices)


def equal_buffers(model: nn.Module) -> None:
    """Copy the buffers of the first process to all, such as norm statistics of each process."""
    if rank_info()[1] > 1:
        for buffer in model.buffers():
            torch.distributed.broadcast(buffer, 0)


def own_part(size: int) -> slice:
    """Return the part of a joined batch on which this process trains."""
    rank, ranks = rank_info()
    if size % ranks:
        raise InputError(
            f"the batch size is {size}, but must be a multiple of the {ranks} processes: change "
            "--batch-size"
        )
    return slice(rank * size // ranks, (rank + 1) * size // ranks)


def mean_over_ranks(values: Tensor) -> Tensor:
    """Return the mean of a tensor over all processes."""
    ranks = rank_info()[1]
    if ranks > 1:
        values = values.clone()
        torch.distributed.all_reduce(values)
        values = values / ranks
    return values


def any_rank(condition: bool) -> bool:
    """Return True on all processes if the condition is True on one of them."""
    if rank_info()[1] == 1:
        return condition
    found = [False] * rank_info()[1]
    torch.distributed.all_gather_object(found, condition)
    return any(found)


def own_rows(total: int) -> Tensor:
    """Return the indices of every ranks-th of `total` examples, equally many in each process.

    If their number is not a multiple of that of the processes, the last example is repeated.
    """
    rank, ranks = rank_info()
    return torch.arange(rank, -(-total // ranks) * ranks, ranks).clamp(max=total - 1)


def gathered_rows(rows: Tensor, total: int) -> Tensor:
    """Return all rows (N, ...) of `total` examples, of which each process has its `own_rows`."""
    parts = [torch.empty_like(rows) for _ in range(rank_info()[1])]
    torch.distributed.all_gather(parts, rows.contiguous())
    return torch.stack(parts, 1).flatten(0, 1)[:total]
