"""The target of mixes of the whole batch: every label, with a weight in each mix.

Shapes: B examples, N mixes, C classes.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from layermix.errors import InputError
from layermix.mixing.targets.entropy import CrossEntropy
from layermix.mixing.targets.target import (
    Criterion,
    Target,
    check_integers,
    check_range,
    kind,
    logits_of,
)


@dataclass(frozen=True, eq=False)
class ManyTarget(Target):
    """Labels of a batch, mixed many times.

    Attributes
    ----------
    labels
        Integer classes (B,), or floats (B, ...).
    weights
        Of each label in each mix, (N, B); rows sum to 1.
    """

    labels: Tensor
    weights: Tensor

    def accuracy(self, output: Any, k: int = 1, *, ignore_index: int = -100) -> Tensor:
        """Return the mean weight of the k best guesses among the labels; shape (), in [0, 1]."""
        logits = logits_of(output)
        target = self._mixed(logits, ignore_index)
        guesses = logits.topk(min(k, logits.shape[1]), dim=1).indices
        return target.gather(1, guesses).sum() / target.sum()

    def dense(self, num_classes: int | None = None) -> Tensor:
        """Return the mixed labels: soft labels (N, `num_classes`), or floats (N, ...).

        Raises
        ------
        InputError
            When `num_classes` is missing, or labels are not one class for each example.
        """
        if self.labels.is_floating_point():
            flat = self.labels.flatten(1) if self.labels.ndim > 1 else self.labels[:, None]
            return (self.weights.to(flat) @ flat).view(-1, *self.labels.shape[1:])
        if num_classes is None:
            raise InputError("integer labels need num_classes to become soft labels")
        return self._soft(num_classes, None)

    def _loss(self, logits: Tensor, how: CrossEntropy | Criterion) -> Tensor:
        """Return the mean loss of the mixes; a criterion gets their mixed labels, classes soft."""
        if isinstance(how, CrossEntropy):
            mixed = self._mixed(logits, how.ignore_index)
            floats = self.labels.is_floating_point()
            return (how.of_probabilities if floats else how.of_mixtures)(logits, mixed).mean()
        return how(logits, self._mixed(logits, -100)).mean()

    def _mixed(self, logits: Tensor, ignore_index: int) -> Tensor:
        if len(logits) != len(self.weights):
            raise InputError(
                f"the output has {len(logits)} rows, but {len(self.weights)} mixes were made of "
                f"{len(self.labels)} examples: the model must return one row for each mix"
            )
        if self.labels.is_floating_point():
            return self.dense()
        return self._soft(logits.shape[1], ignore_index)

    def _soft(self, num_classes: int, ignore_index: int | None) -> Tensor:
        """Return soft labels (N, C), in which ignored labels have no weight."""
        if self.labels.ndim != 1:
            raise InputError(
                f"mixes of the whole batch need one class for each example, but the labels are "
                f"{kind(self.labels)}"
            )
        check_integers(self.labels)
        check_range(self.labels, num_classes, ignore_index)
        soft = self.weights.new_zeros(len(self.weights), num_classes)
        if ignore_index is None:
            return soft.index_add(1, self.labels, self.weights)
        counted = self.labels != ignore_index
        return soft.index_add(1, torch.where(counted, self.labels, 0), self.weights * counted)
