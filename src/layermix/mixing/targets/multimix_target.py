"""The target of N mixes of B examples with C classes: each label has a weight in each mix."""

from dataclasses import dataclass

import torch
from torch import Tensor

from layermix.errors import InputError
from layermix.mixing.targets.criteria import Criterion, unreduced
from layermix.mixing.targets.criterion_labels import check_compared
from layermix.mixing.targets.cross_entropy import CrossEntropy, Parts
from layermix.mixing.targets.label_checks import (
    check_integers,
    check_soft,
    check_weights,
    describe,
    one_column,
)
from layermix.mixing.targets.target import Target, among, best, dense_dtype
from layermix.mixing.targets.weighting import like
from layermix.mixing.tensors import combined, times, wide


@dataclass(frozen=True, eq=False)
class MultiMixTarget(Target):
    """Labels of N mixes, each a combination of the whole batch.

    Attributes
    ----------
    labels
        Integer classes (B,), or floats (B, ...).
    weights
        Weight of each label in each mix, (N, B); rows sum to 1.
    """

    labels: Tensor
    weights: Tensor

    def dense(self, num_classes: int | None = None, dtype: torch.dtype | None = None) -> Tensor:
        """Return the mixed labels: soft labels (N, C), or floats (N, ...); see `MixedTarget.dense`.

        Raises
        ------
        InputError
            If an example has several classes, or as for `MixedTarget.dense`.
        """
        dtype = dense_dtype(self.labels, num_classes, dtype)
        weights = self.weights.to(torch.promote_types(self.weights.dtype, wide(dtype)))
        return self._mixed(weights, num_classes or 0).to(dtype)

    def _found(self, logits: Tensor, k: int, ignore_index: int) -> tuple[Tensor, Tensor]:
        target = self._compared(logits, ignore_index)
        return among(best(logits, k), target).sum(), target.sum()

    def _dominant(self, logits: Tensor, ignore_index: int) -> Tensor:
        target = self._compared(logits, ignore_index)
        return torch.where(target.sum(1) > 0, target.argmax(1), ignore_index)

    def _compared(self, logits: Tensor, ignore_index: int) -> Tensor:
        self._check_output(logits)
        target = self._mixed(self.weights, logits.shape[1], ignore_index)
        if self.labels.is_floating_point():
            if target.shape != logits.shape:
                raise InputError(
                    f"accuracy needs integer class labels of shape {tuple(self.labels.shape[:1])}, "
                    f"but the labels are {describe(self.labels)}"
                )
            check_soft(self.labels)
        return target

    def _loss(
        self, logits: Tensor, how: CrossEntropy | Criterion, sample_weight: Tensor | None
    ) -> Tensor:
        self._check_output(logits)
        weights = self.weights.to(wide(logits.dtype))
        shares, totals = self._shares(weights, sample_weight)
        classes = logits.shape[1] if logits.ndim > 1 else 0
        if not isinstance(how, CrossEntropy):
            return self._of_criterion(how, logits, self._mixed(shares, classes, -100), totals)
        mixed = self._mixed(shares, classes, how.ignore_index)
        if self.labels.is_floating_point():
            parts = how.of_probabilities(logits, mixed)
        else:
            plain = mixed if totals is None else self._mixed(weights, classes, how.ignore_index)
            parts = how.of_mixtures(logits, mixed, plain)
        return Parts(_scaled(parts.loss, totals), parts.norm).mean()

    def _of_criterion(
        self, how: Criterion, logits: Tensor, mixed: Tensor, totals: Tensor | None
    ) -> Tensor:
        criterion, mean = unreduced(how, totals is not None)
        check_compared(criterion, mixed, logits)
        losses = criterion(logits, mixed)
        if totals is not None and losses.shape[:1] != totals.shape:
            raise InputError(
                f"each example has its own weight, but the criterion returned losses of shape "
                f'{tuple(losses.shape)} for {len(totals)} mixes: build it with reduction="none"'
            )
        return mean(_scaled(losses, totals))

    def _shares(
        self, weights: Tensor, sample_weight: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """Return sample-weighted label weights, (N, B), scaled to row sum 1, and the sums, (N,)."""
        if sample_weight is None:
            return weights, None
        check_weights(sample_weight, self.labels[:, 0] if self.labels.ndim > 1 else self.labels)
        weighted = weights * sample_weight.to(weights.dtype)
        totals = weighted.sum(1)
        return weighted / torch.where(totals == 0, 1, totals)[:, None], totals

    def _check_output(self, logits: Tensor) -> None:
        if len(logits) != len(self.weights):
            raise InputError(
                f"the output has {len(logits)} rows, but {len(self.weights)} mixes were made of "
                f"{len(self.labels)} examples: the model must return one row for each mix"
            )
        if not self.labels.is_floating_point() and (logits.ndim < 2 or logits.shape[1] == 1):
            raise one_column(self.labels, logits.shape)

    def _mixed(self, weights: Tensor, num_classes: int, ignore_index: int | None = None) -> Tensor:
        """Return the labels mixed by weights (N, B): floats (N, ...), or soft labels (N, C)."""
        labels = self.labels
        if labels.is_floating_point():
            numbers = labels.to(torch.promote_types(labels.dtype, weights.dtype))
            flat = numbers.flatten(1) if labels.ndim > 1 else numbers[:, None]
            return combined(weights.to(flat), flat).view(-1, *labels.shape[1:])
        if labels.ndim != 1:
            raise InputError(
                f"mixes of the whole batch need one class for each example, but the labels are "
                f"{describe(labels)}"
            )
        check_integers(labels, num_classes, ignore_index)
        soft = weights.new_zeros(len(weights), num_classes)
        if ignore_index is None:
            return soft.index_add(1, labels, weights)
        counted = labels != ignore_index
        return soft.index_add(1, torch.where(counted, labels, 0), weights * counted)


def _scaled(losses: Tensor, totals: Tensor | None) -> Tensor:
    if totals is None:
        return losses
    dtype = wide(losses.dtype)
    return times(like(totals.to(dtype), losses), losses.to(dtype))
