"""The target of a batch that has clean examples in its first half and mixed ones in its second.

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
    """The labels of 2B outputs: B clean examples, then B mixed examples.

    Attributes
    ----------
    first, second
        Targets of the clean half and of the mixed half.
    eta
        Weight of the loss of the mixed half.
    """

    first: MixedTarget
    second: MixedTarget
    eta: float

    def dense(self, num_classes: int | None = None, dtype: torch.dtype | None = None) -> Tensor:
        """Return the labels of both halves: soft labels (2B, `num_classes`), or floats."""
        return torch.cat([half.dense(num_classes, dtype) for half in (self.first, self.second)])

    def nll(self, output: Any, *, ignore_index: int = -100) -> Tensor:
        """Return the mean negative log-likelihood of all outputs, (), in nats and without `eta`."""
        entropy = CrossEntropy(ignore_index=ignore_index)
        with torch.no_grad():
            halves = self._halves(logits_of(output))
            return joined([half.parts(entropy, logits) for half, logits in halves]).mean()

    def _halves(self, logits: Tensor) -> list[tuple[MixedTarget, Tensor]]:
        if len(logits) % 2:
            raise InputError(
                f"the output has {len(logits)} rows, but must have one row for each clean example, "
                "then one for each mixed example"
            )
        half = len(logits) // 2
        return [(self.first, logits[:half]), (self.second, logits[half:])]

    def _found(self, logits: Tensor, k: int, ignore_index: int) -> tuple[Tensor, Tensor]:
        clean, mixed = (half._found(z, k, ignore_index) for half, z in self._halves(logits))
        return clean[0] + mixed[0], clean[1] + mixed[1]

    def _dominant(self, logits: Tensor, ignore_index: int) -> Tensor:
        return torch.cat([half._dominant(z, ignore_index) for half, z in self._halves(logits)])

    def _loss(
        self, logits: Tensor, how: CrossEntropy | Criterion, sample_weight: Tensor | None
    ) -> Tensor:
        clean, mixed = (half._loss(z, how, sample_weight) for half, z in self._halves(logits))
        return clean + self.eta * mixed
