"""Cross-entropy whose parts can be weighed before they are averaged.

``mean = sum(w * loss) / sum(w * norm)``: torch's cross-entropy with class weights divides by the
weights of the labels, and leaves out ignored ones. With a weight for each example or position both
sums have to be taken after it, so both parts are returned. Label smoothing is linear in the target
and so commutes with mixing.

Shapes: B batch, C classes, `...` positions.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class Parts(NamedTuple):
    """Loss and norm of each label, (B, ...)."""

    loss: Tensor
    norm: Tensor


@dataclass(frozen=True)
class CrossEntropy:
    """Cross-entropy of logits and labels, as torch's, in parts.

    Attributes
    ----------
    weight
        Of each class, (C,).
    label_smoothing
        In [0, 1].
    ignore_index
        The label that does not count.
    """

    weight: Tensor | None = None
    label_smoothing: float = 0.0
    ignore_index: int = -100

    def of_classes(self, logits: Tensor, labels: Tensor) -> Parts:
        """Return the parts for logits (B, C, ...) and integer labels (B, ...)."""
        loss = F.cross_entropy(
            logits, labels, self._weight(logits), None, self.ignore_index, None, "none",
            self.label_smoothing,
        )  # fmt: skip
        counted = labels != self.ignore_index
        if self.weight is None:
            return Parts(loss, counted.to(loss.dtype))
        norm = self.weight.to(loss)[torch.where(counted, labels, 0)]
        return Parts(loss, norm * counted)

    def of_probabilities(self, logits: Tensor, target: Tensor) -> Parts:
        """Return the parts for logits and probabilities, both (B, C, ...)."""
        target = target.to(logits.dtype)
        weight = self._weight(logits)
        loss = F.cross_entropy(
            logits, target, weight, None, -100, None, "none", self.label_smoothing
        )
        if weight is None:
            return Parts(loss, target.sum(1))
        return Parts(loss, torch.einsum("bc...,c->b...", target, weight))

    def _weight(self, logits: Tensor) -> Tensor | None:
        return None if self.weight is None else self.weight.to(logits)
