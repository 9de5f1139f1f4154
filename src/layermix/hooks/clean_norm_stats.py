"""Running statistics of batch norms that mixed batches do not change, during training."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm  # what `torch.optim.swa_utils` uses

from layermix.errors import InputError
from layermix.hooks.batch import Batch, call
from layermix.hooks.norm_stats import batch_norms, only_training
from layermix.hooks.sites import unwrap


class CleanNormStats:
    """Update the running statistics of batch norms on unmixed batches only, during training.

    Every `every` steps, `update` runs the model on the unmixed batch, without gradients. With
    momentum m it then uses 1 - (1 - m)^every, so that old batches are forgotten as fast as with one
    update per step. In the block of `frozen`, mixed forward passes leave the statistics unchanged.
    Batch norms in eval mode are not updated.
    """

    def __init__(self, model: nn.Module, every: int) -> None:
        if every < 1:
            raise InputError(f"norm_stats_every is {every}, but must be 1 or more")
        self._model, self._every = unwrap(model), every

    def update(self, model: nn.Module, x: Batch, step: int) -> None:
        """Update the statistics with a batch, if it is time at this step (0, 1, ...)."""
        if step % self._every:
            return
        norms = self._trained()
        slower = _momenta(norms, lambda m: 1 - (1 - m) ** self._every)
        with slower, only_training(model, norms), torch.no_grad():
            call(model, x)

    def frozen(self) -> Any:
        """Return a context manager in which training does not change the statistics."""
        return _momenta(self._trained(), lambda _: 0.0)

    def _trained(self) -> list[_BatchNorm]:
        return [norm for norm in batch_norms(self._model) if norm.training]


@contextmanager
def _momenta(norms: Sequence[_BatchNorm], change: Callable[[float], float]) -> Iterator[None]:
    """Change the momentum of batch norms in the block; None, an average, is not supported."""
    before = [norm.momentum for norm in norms]
    if None in before:
        raise InputError(
            "a batch norm has momentum=None, with which its statistics cannot be kept clean during "
            "training: set a momentum, or use layermix.update_norm_stats after training"
        )
    try:
        for norm, momentum in zip(norms, before, strict=True):
            norm.momentum = change(momentum or 0.0)
        yield
    finally:
        for norm, momentum in zip(norms, before, strict=True):
            norm.momentum = momentum
