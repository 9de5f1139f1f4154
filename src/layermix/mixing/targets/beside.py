"""The target of a batch in which clean examples stand beside mixed ones.

RegMixup (Pinto, Yang, Lim, Torr, Dokania, 2022): the loss of the clean half plus eta times that of
the mixed half.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from layermix.errors import InputError
from layermix.mixing.targets.entropy import CrossEntropy
from layermix.mixing.targets.target import Criterion, Target, logits_of


@dataclass(frozen=True, eq=False)
class BesideTarget(Target):
    """The labels of 2B outputs: of B clean examples, then of B mixed ones.

    Attributes
    ----------
    first
        Target of the clean examples.
    second
        Target of the mixed ones.
    eta
        Weight of their loss.
    """

    first: Target
    second: Target
    eta: float

    def accuracy(self, output: Any, k: int = 1, *, ignore_index: int = -100) -> Tensor:
        """Return the accuracy over both halves; shape (), in [0, 1]."""
        clean, mixed = _halves(output)
        first = self.first.accuracy(clean, k, ignore_index=ignore_index)
        return (first + self.second.accuracy(mixed, k, ignore_index=ignore_index)) / 2

    def dense(self, num_classes: int | None = None) -> Tensor:
        """Return the labels of both halves: soft labels (2B, `num_classes`), or floats."""
        return torch.cat([self.first.dense(num_classes), self.second.dense(num_classes)])

    def nll(self, output: Any, *, ignore_index: int = -100) -> Tensor:
        """Return the negative log-likelihood in nats over both halves; shape ().

        The mean of both, without `eta`, unsmoothed and without gradient.
        """
        clean, mixed = _halves(output)
        first = self.first.nll(clean, ignore_index=ignore_index)
        return (first + self.second.nll(mixed, ignore_index=ignore_index)) / 2

    def _loss(self, logits: Tensor, how: CrossEntropy | Criterion) -> Tensor:
        """Return the loss of the clean half plus `eta` times that of the mixed half."""
        clean, mixed = _halves(logits)
        return self.first._loss(clean, how) + self.eta * self.second._loss(mixed, how)


def _halves(output: Any) -> tuple[Tensor, Tensor]:
    logits = logits_of(output)
    if len(logits) % 2:
        raise InputError(
            f"the output has {len(logits)} rows, but clean and mixed examples make an even number"
        )
    half = len(logits) // 2
    return logits[:half], logits[half:]
