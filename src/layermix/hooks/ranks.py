"""Decisions that all ranks of data parallel training must take alike."""

from collections.abc import Callable

import torch
from torch import nn

from layermix.mixing.ranks import place


def agreement(model: nn.Module) -> Callable[[bool], bool]:
    """Return what tells whether a condition holds on any rank.

    Where parameters are sharded, each forward pass needs all ranks, so that they must take the same
    number of passes. Elsewhere each rank decides for itself.
    """
    if place()[1] == 1 or not any(type(m).__name__.startswith("FSDP") for m in model.modules()):
        return bool

    def any_rank(condition: bool) -> bool:
        device = next(model.parameters()).device
        found = torch.tensor(float(condition), device=device)
        torch.distributed.all_reduce(found, torch.distributed.ReduceOp.MAX)
        return bool(found)

    return any_rank
