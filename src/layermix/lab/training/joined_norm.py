"""Batch norms whose statistics are those of the joined batch of all processes.

`torch.nn.SyncBatchNorm` needs a GPU; `JoinedBatchNorm` also works on a CPU.

Shapes: B batch, C channels, S positions.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from layermix.mixing.distributed import rank_info


class JoinedBatchNorm(_BatchNorm):
    """A batch norm with the statistics of the joined batch, for inputs (B, C, ...).

    If `joins` is False, it is an ordinary batch norm.
    """

    joins = True

    def _check_input_dim(self, input: Tensor) -> None:
        """Accept inputs of any dimension."""

    def forward(self, input: Tensor) -> Tensor:
        """Normalize a batch, and update the running statistics in training mode."""
        uses_batch = self.training or self.running_mean is None
        if not (uses_batch and self.joins and rank_info()[1] > 1):
            return super().forward(input)
        x = input.transpose(0, 1).flatten(1)  # (C, B * S)
        sums = torch.stack([x.sum(1), torch.full_like(x[:, 0], x.shape[1])])
        total, count = _Sum.apply(sums)
        mean = total / count
        centered = x - mean[:, None]
        var = _Sum.apply(centered.square().sum(1)) / count
        if self.training and self.running_mean is not None:
            self._update(mean.detach(), var.detach(), count.detach())
        shape = (1, -1, *[1] * (input.ndim - 2))
        scale = (var + self.eps).rsqrt()
        found = (input - mean.view(shape)) * scale.view(shape)
        if self.affine:
            found = found * self.weight.view(shape) + self.bias.view(shape)
        return found

    @torch.no_grad()
    def _update(self, mean: Tensor, var: Tensor, count: Tensor) -> None:
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked += 1
        momentum = self.momentum
        if momentum is None:
            momentum = 1 / float(self.num_batches_tracked)
        self.running_mean.lerp_(mean, momentum)
        self.running_var.lerp_(var * count / (count - 1), momentum)


class _Sum(torch.autograd.Function):
    """Sum over all processes in the forward and in the backward pass."""

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        x = x.clone()
        torch.distributed.all_reduce(x)
        return x

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Tensor) -> None:
        """Save nothing: the sum is linear."""

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        grad = grads[0].clone()
        torch.distributed.all_reduce(grad)
        return grad


def with_joined_norms(model: nn.Module) -> nn.Module:
    """Replace the batch norms of a model; names, weights and statistics remain."""
    if isinstance(model, _BatchNorm) and not isinstance(model, JoinedBatchNorm):
        found = JoinedBatchNorm(
            model.num_features,
            model.eps,
            model.momentum,
            model.affine,
            model.track_running_stats,
        )
        vars(found).update(vars(model))
        return found
    for name, child in model.named_children():
        setattr(model, name, with_joined_norms(child))
    return model


@contextmanager
def separate_norms(model: nn.Module) -> Iterator[None]:
    """Inside the block, norms use the batch of their process alone."""
    norms = [module for module in model.modules() if isinstance(module, JoinedBatchNorm)]
    for norm in norms:
        norm.joins = False
    try:
        yield
    finally:
        for norm in norms:
            norm.joins = True
