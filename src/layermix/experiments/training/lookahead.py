"""Lookahead: every few steps the weights go back part of the way to where they were.

Zhang, Lucas, Hinton, Ba (2019): slow weights follow the fast ones, which then start again from the
slow. How slow grows with the cube of the time, as in Jordan (2024): at first the slow weights are
the fast ones, in the end an average over the last steps.
"""

import itertools

import torch
from torch import Tensor, nn

_EVERY, _KEPT, _POWER = 5, 0.95, 3


class Lookahead:
    """The slow weights of a net, buffers of norms included.

    A training of so few steps that they would not have moved, five or fewer, goes without.

    Parameters
    ----------
    model
        The net, before its first step.
    steps
        How many steps the training has.
    """

    def __init__(self, model: nn.Module, steps: int) -> None:
        self._fast = _numbers(model)
        self._slow = [tensor.clone() for tensor in self._fast]
        self._steps = steps

    @torch.no_grad()
    def after(self, step: int) -> None:
        """Do what is due after a step, counted from 1; after the last the net is the slow one."""
        last = step == self._steps
        if self._steps <= _EVERY or (step % _EVERY and not last):
            return
        kept = 1 if last else _KEPT**_EVERY * (step / self._steps) ** _POWER
        for slow, fast in zip(self._slow, self._fast, strict=True):
            fast.copy_(slow.lerp_(fast, 1 - kept))


def _numbers(model: nn.Module) -> list[Tensor]:
    """Return parameters and buffers, each once where several modules share it."""
    tensors = itertools.chain(model.parameters(), model.buffers())
    return [tensor.detach() for tensor in tensors if tensor.is_floating_point()]
