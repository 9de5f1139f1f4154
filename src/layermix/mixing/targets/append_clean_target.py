"""The target of a batch in which clean examples stand beside mixed ones.

RegMixup (Pinto, Yang, Lim, Torr, Dokania, 2022): the loss of the clean half plus eta times that of
the mixed half.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from layermix.errors import InputError
from layermix.mixing.targets.criteria import Criterion
from layermix.mixing.targets.cross_entropy import CrossEntropy, joined
from layermix.mixing.targets.mixed import MixedTarget
from layermix.mixing.targets.target import Target, logits_of


@dataclass(frozen=True, eq=False)
class AppendCleanTarget(Target):
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

    first: MixedTarget
    second: MixedTarget
    eta: float

    def dense(self, num_classes: int | None = None, dtype: torch.dtype | None = None) -> Tensor:
        """Return the labels of both halves: soft labels (2B, `num_classes`), or floats."""
        return torch.cat([half.dense(num_classes, dtype) for half in (self.first, self.second)])

    def nll(self, output: Any, *, ignore_index: int = -100) -> Tensor:
        """Return the negative log-likelihood in nats over both halves; shape ().

        The mean over all labels that are not ignored, without `eta`, unsmoothed and without
        gradient.
        """
        how, halves = CrossEntropy(ignore_index=ignore_index), (self.first, self.second)
        with torch.no_grad():
            both = zip(halves, _halves(output), strict=True)
            return joined([half.parts(how, logits) for half, logits in both]).mean()

    def _found(self, logits: Tensor, k: int, ignore_index: int) -> tuple[Tensor, Tensor]:
        clean, mixed = _halves(logits)
        found, total = self.first._found(clean, k, ignore_index)
        more, total_more = self.second._found(mixed, k, ignore_index)
        return found + more, total + total_more

    def _dominant(self, logits: Tensor, ignore_index: int) -> Tensor:
        both = zip((self.first, self.second), _halves(logits), strict=True)
        return torch.cat([half._dominant(part, ignore_index) for half, part in both])

    def _loss(
        self, logits: Tensor, how: CrossEntropy | Criterion, sample_weight: Tensor | None
    ) -> Tensor:
        """Return the loss of the clean half plus `eta` times that of the mixed half."""
        clean, mixed = _halves(logits)
        first = self.first._loss(clean, how, sample_weight)
        return first + self.eta * self.second._loss(mixed, how, sample_weight)


def _halves(output: Any) -> tuple[Tensor, Tensor]:
    logits = logits_of(output)
    if len(logits) % 2:
        raise InputError(
            f"the output has {len(logits)} rows, but clean and mixed examples make an even number"
        )
    half = len(logits) // 2
    return logits[:half], logits[half:]
