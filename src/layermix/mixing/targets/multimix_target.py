"""The target of mixes of the whole batch: every label, with a weight in each mix.

Shapes: B examples, N mixes, C classes.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from layermix.errors import InputError
from layermix.mixing.targets.broadcast import check_compared
from layermix.mixing.targets.criteria import Criterion, Unreduced, unreduced
from layermix.mixing.targets.cross_entropy import CrossEntropy, Parts
from layermix.mixing.targets.label_checks import (
    check_integers,
    check_range,
    check_soft,
    check_weights,
    describe,
    one_column,
)
from layermix.mixing.targets.positions import like
from layermix.mixing.targets.target import Target, among, best, checked_dtype, wide
from layermix.mixing.tensors import combined, times


@dataclass(frozen=True, eq=False)
class MultiMixTarget(Target):
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

    def dense(self, num_classes: int | None = None, dtype: torch.dtype | None = None) -> Tensor:
        """Return the mixed labels: soft labels (N, `num_classes`), or floats (N, ...).

        Their dtype is torch's default for classes, and that of the labels for floats, unless one is
        given.

        Raises
        ------
        InputError
            When `num_classes` is missing, labels are not one class for each example, or dtype is
            not floating point.
        """
        floats = self.labels.is_floating_point()
        dtype = checked_dtype(dtype or (self.labels.dtype if floats else torch.get_default_dtype()))
        weights = self.weights.to(torch.promote_types(self.weights.dtype, wide(dtype)))
        if floats:
            return self._numbers(weights).to(dtype)
        if num_classes is None:
            raise InputError("integer labels need num_classes to become soft labels")
        return self._soft(weights, num_classes, None).to(dtype)

    def _found(self, logits: Tensor, k: int, ignore_index: int) -> tuple[Tensor, Tensor]:
        target = self._compared(logits, ignore_index)
        return among(best(logits, k), target).sum(), target.sum()

    def _dominant(self, logits: Tensor, ignore_index: int) -> Tensor:
        target = self._compared(logits, ignore_index)
        return torch.where(target.sum(1) > 0, target.argmax(1), ignore_index)

    def _compared(self, logits: Tensor, ignore_index: int) -> Tensor:
        """Return the mixed labels that guesses are compared with, (N, C)."""
        self._check_rows(logits)
        target = self._mixed(logits, self.weights, ignore_index)
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
        """Return the mean loss of the mixes; a criterion gets their mixed labels, classes soft."""
        self._check_rows(logits)
        weights = self.weights.to(torch.promote_types(logits.dtype, torch.float32))
        shares, totals = weights, None
        if sample_weight is not None:
            shares, totals = self._shares(weights, sample_weight)
        if not isinstance(how, CrossEntropy):
            return self._of_criterion(how, logits, self._mixed(logits, shares, -100), totals)
        mixed = self._mixed(logits, shares, how.ignore_index)
        if self.labels.is_floating_point():
            parts = how.of_probabilities(logits, mixed)
        else:
            parts = how.of_mixtures(logits, mixed)
            if totals is not None:  # the norm is that of the labels without these weights
                plain = self._mixed(logits, weights, how.ignore_index)
                parts = parts._replace(norm=how.norm_of(logits, plain))
        return Parts(_scaled(parts.loss, totals), parts.norm).mean()

    def _of_criterion(
        self, how: Criterion, logits: Tensor, mixed: Tensor, totals: Tensor | None
    ) -> Tensor:
        criterion = Unreduced(how) if totals is None else unreduced(how)
        check_compared(criterion.losses, mixed, logits)
        losses = criterion.losses(logits, mixed)
        if totals is not None and losses.shape[:1] != totals.shape:
            raise InputError(
                f"each example has a weight of its own, but the criterion returned losses of shape "
                f'{tuple(losses.shape)} for {len(totals)} mixes: build it with reduction="none"'
            )
        return criterion.mean(_scaled(losses, totals))

    def _shares(self, weights: Tensor, sample_weight: Tensor) -> tuple[Tensor, Tensor]:
        """Return the shares of the labels in each mix, (N, B), and the total weights, (N,).

        A loss is linear in labels whose weights sum to 1, as criteria and label smoothing need it.
        """
        check_weights(sample_weight, self.labels[:, 0] if self.labels.ndim > 1 else self.labels)
        weighted = weights * sample_weight.to(weights.dtype)
        totals = weighted.sum(1)
        return weighted / torch.where(totals == 0, 1, totals)[:, None], totals

    def _check_rows(self, logits: Tensor) -> None:
        if len(logits) != len(self.weights):
            raise InputError(
                f"the output has {len(logits)} rows, but {len(self.weights)} mixes were made of "
                f"{len(self.labels)} examples: the model must return one row for each mix"
            )

    def _mixed(self, logits: Tensor, weights: Tensor, ignore_index: int) -> Tensor:
        """Return the labels mixed by weights (N, B), classes as soft labels."""
        if self.labels.is_floating_point():
            return self._numbers(weights)
        if logits.ndim < 2 or logits.shape[1] == 1:
            raise one_column(self.labels, logits.shape)
        return self._soft(weights, logits.shape[1], ignore_index)

    def _numbers(self, weights: Tensor) -> Tensor:
        labels = self.labels.to(torch.promote_types(self.labels.dtype, weights.dtype))
        flat = labels.flatten(1) if labels.ndim > 1 else labels[:, None]
        return combined(weights.to(flat), flat).view(-1, *labels.shape[1:])

    def _soft(self, weights: Tensor, num_classes: int, ignore_index: int | None) -> Tensor:
        """Return soft labels (N, C), in which ignored labels have no weight."""
        if self.labels.ndim != 1:
            raise InputError(
                f"mixes of the whole batch need one class for each example, but the labels are "
                f"{describe(self.labels)}"
            )
        check_integers(self.labels)
        check_range(self.labels, num_classes, ignore_index)
        soft = weights.new_zeros(len(weights), num_classes)
        if ignore_index is None:
            return soft.index_add(1, self.labels, weights)
        counted = self.labels != ignore_index
        return soft.index_add(1, torch.where(counted, self.labels, 0), weights * counted)


def _scaled(losses: Tensor, totals: Tensor | None) -> Tensor:
    """Return losses of mixes, (N, ...), times the weights of the mixes."""
    if totals is None:
        return losses
    wide = torch.promote_types(losses.dtype, torch.float32)
    return times(like(totals.to(wide), losses), losses.to(wide))
