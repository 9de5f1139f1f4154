"""The mixed target of pairs: the labels of two examples, each with its weight.

Cross-entropy is linear in the target, so ``CE(z, lam*y + (1-lam)*y')`` equals
``lam*CE(z, y) + (1-lam)*CE(z, y')``. The second, the two-loss form of mixup's reference code, is
used throughout: it needs no one-hots and stays meaningful for losses that are not linear in the
target (focal, L1, margin).

Shapes: B batch, C classes, `...` positions of dense labels.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from layermix.errors import InputError
from layermix.mixing.blends.arrays import readable, weighed, weighed_by_number
from layermix.mixing.targets.criteria import Criterion, Unreduced, losses_of, unreduced
from layermix.mixing.targets.entropy import CrossEntropy, Parts
from layermix.mixing.targets.labels import (
    check_classes,
    check_integers,
    check_range,
    check_soft,
    check_weights,
    kind,
    one_column,
)
from layermix.mixing.targets.positions import like
from layermix.mixing.targets.target import Target, among, best, checked_dtype, wide
from layermix.mixing.targets.weights import Weights, counted, weighted


@dataclass(frozen=True, eq=False)
class MixedTarget(Target):
    """Labels mixed in pairs.

    Attributes
    ----------
    labels
        Labels of the batch: integer classes (B,) or, of dense predictions, (B, ...); floats for
        soft labels (B, C, ...), several labels at once or numbers to predict.
    partner_labels
        Labels of each example's partner, the same shape.
    ratio
        Weight of `labels`, in [0, 1]: shape () or (B,); or one for each position, a shape that
        broadcasts to that of the labels.
    of_partners
        Returns for each example what its partner has, (B, ...), of what each example has; needed
        for `sample_weight` alone. A plan's target has it.
    partial
        True if it is known that no ratio is 0 or 1, which saves work.
    """

    labels: Tensor
    partner_labels: Tensor
    ratio: Tensor
    of_partners: Callable[[Tensor], Tensor] | None = field(default=None, repr=False)
    partial: bool = field(default=False, repr=False)

    @classmethod
    def clean(cls, labels: Tensor) -> "MixedTarget":
        """Return the target of a batch that was not mixed."""
        return cls(labels, labels, torch.ones((), device=labels.device))

    def dense(self, num_classes: int | None = None, dtype: torch.dtype | None = None) -> Tensor:
        """Return the mixed labels.

        Parameters
        ----------
        num_classes
            Number of classes C, for integer labels.
        dtype
            Of the result; left out, torch's default for classes, and that of the labels for
            floats.

        Returns
        -------
        Tensor
            Of integer classes (B, ...) soft labels (B, C, ...), which sum to 1 over the classes; of
            floats the labels mixed by the ratio, in their shape.

        Raises
        ------
        InputError
            When `num_classes` is missing, labels are outside the classes, or dtype is not floating
            point.
        """
        if self.labels.is_floating_point():
            dtype = checked_dtype(dtype or self.labels.dtype)
            return self._weigh(*(labels.to(wide(dtype)) for labels in self._both)).to(dtype)
        if num_classes is None:
            raise InputError("integer labels need num_classes to become soft labels")
        check_integers(self.labels)
        for labels in self._both:
            check_range(labels, num_classes)
        dtype = checked_dtype(dtype or torch.get_default_dtype())
        ratio = like(self.ratio, self.labels).to(torch.promote_types(self.ratio.dtype, wide(dtype)))
        ratio = ratio.expand(self.labels.shape).unsqueeze(1)  # (B, 1, ...)
        soft = ratio.new_zeros(len(ratio), num_classes, *ratio.shape[2:])
        soft.scatter_(1, self.labels.unsqueeze(1), ratio)
        return soft.scatter_add_(1, self.partner_labels.unsqueeze(1), 1 - ratio).to(dtype)

    @property
    def _both(self) -> tuple[Tensor, Tensor]:
        return self.labels, self.partner_labels

    def _found(self, logits: Tensor, k: int, ignore_index: int) -> tuple[Tensor, Tensor]:
        guesses = best(logits, k)
        if self.labels.is_floating_point() and self.labels.shape == logits.shape:
            check_soft(self.labels)
            soft = self.dense(dtype=torch.promote_types(self.labels.dtype, wide(self.ratio.dtype)))
            return among(guesses, soft).sum(), soft.sum()
        if self.labels.is_floating_point() or self.labels.shape != guesses[:, 0].shape:
            raise InputError(
                f"accuracy needs integer class labels of shape {tuple(guesses[:, 0].shape)}, but "
                f"the labels are {kind(self.labels)}"
            )
        for labels in self._both:
            check_range(labels, logits.shape[1], ignore_index)
        counts = [labels != ignore_index for labels in self._both]
        hits = [(guesses == labels.unsqueeze(1)).any(1) for labels in self._both]
        hits = [hit & count for hit, count in zip(hits, counts, strict=True)]
        dtype = wide(self.ratio.dtype)
        right, total = (self._weigh(*(each.to(dtype) for each in two)) for two in (hits, counts))
        return right.sum(), total.sum()

    def _loss(
        self, logits: Tensor, how: CrossEntropy | Criterion, sample_weight: Tensor | None
    ) -> Tensor:
        """Return ``ratio * how(logits, labels) + (1-ratio) * how(logits, partner's labels)``."""
        weights = self._weights(sample_weight)
        if not isinstance(how, CrossEntropy):
            return self._of_criterion(how, logits, weights)
        if weights is None and (mean := self._of_means(how, logits)) is not None:
            return mean
        return self.parts(how, logits, weights).mean()

    def parts(self, how: CrossEntropy, logits: Tensor, weights: Weights = None) -> Parts:
        """Return loss and norm of each label of the batch, before they are averaged."""
        both = self._counted(logits, weights)
        first, second = (self._parts(how, logits, labels) for labels in both)
        losses = self._weigh(*weighted([first.loss, second.loss], weights))
        return Parts(losses, self._norm(first, second))

    def _of_criterion(self, how: Criterion, logits: Tensor, weights: Weights) -> Tensor:
        """Return the mean of a criterion over both labels."""
        each = self.ratio.ndim > 0 or weights is not None
        criterion = unreduced(how) if each else Unreduced(how)
        losses = losses_of(criterion.losses, logits, *self._counted(logits, weights))
        if each:
            self._check_losses(losses[0], "ratio" if self.ratio.ndim else "weight")
        return criterion.mean(self._weigh(*weighted(losses, weights)))

    def _counted(self, logits: Tensor, weights: Weights) -> tuple[Tensor, Tensor]:
        """Return both labels, finite where their weight is 0."""
        if weights is None and self.partial:
            return self._both
        return counted(*self._both, self.ratio.to(wide(logits.dtype)), weights)

    def _of_means(self, how: CrossEntropy, logits: Tensor) -> Tensor | None:
        """Return the loss made of torch's own means over both labels, or None where it is not.

        It is where the batch has one ratio and every label counts alike.
        """
        if self.ratio.ndim or logits.dtype not in (torch.float32, torch.float64):
            return None
        if how.weight is not None or self.labels.is_floating_point():
            return None
        if any(self._ignored(how, logits, labels) for labels in self._both):
            return None
        if self.partner_labels is self.labels:
            return how.means_of_classes(logits, self.labels)[0]
        return self._weigh(*how.means_of_classes(logits, *self._both))

    def _norm(self, first: Parts, second: Parts) -> Tensor | None:
        """Return the norms of both labels, weighted by the ratio."""
        if first.norm is None and second.norm is None:
            return None
        own, other = (part.norms().to(wide(part.loss.dtype)) for part in (first, second))
        # In this form equal weights, 1 without class weights, stay what they are to the digit.
        return other + like(self.ratio, own).to(own.dtype) * (own - other)

    def _weights(self, sample_weight: Tensor | None) -> Weights:
        """Return the weights of the examples and of their partners."""
        if sample_weight is None:
            return None
        check_weights(sample_weight, self.labels)
        if self.partner_labels is self.labels:
            return sample_weight, sample_weight
        if self.of_partners is None:
            raise InputError(
                "sample_weight needs the partners of the examples, which this target does not "
                "have: use plan.target(labels), or give MixedTarget(..., of_partners=...)"
            )
        return sample_weight, self.of_partners(sample_weight)

    def _check_losses(self, losses: Tensor, what: str) -> None:
        """Refuse one mean, or any but (B, ...), where examples have ratios or weights."""
        each = "position" if self.ratio.ndim > 1 else "example"
        if losses.ndim == 0:
            raise InputError(
                f"each {each} has a {what} of its own, but the criterion returned one mean "
                'for the batch: build it with reduction="none"'
            )
        if len(losses) != len(self.labels):
            raise InputError(
                f"each {each} has a {what} of its own, but the criterion returned losses of shape "
                f"{tuple(losses.shape)} for {len(self.labels)} examples: it must return "
                f"({len(self.labels)}, ...)"
            )

    def _parts(self, entropy: CrossEntropy, logits: Tensor, labels: Tensor) -> Parts:
        if labels.is_floating_point() and labels.shape == logits.shape:
            return entropy.of_probabilities(logits, labels)
        return entropy.of_classes(logits, labels, self._ignored(entropy, logits, labels))

    def _ignored(self, entropy: CrossEntropy, logits: Tensor, labels: Tensor) -> bool:
        """Return whether any of the labels may be ignored; refuse what are no classes."""
        shape = (*logits.shape[:1], *logits.shape[2:])
        if logits.ndim < 2 or logits.shape[1] == 1:
            raise one_column(labels, logits.shape)
        return check_classes(labels, shape, logits.shape[1], entropy)

    def _weigh(self, own: Tensor, partner: Tensor) -> Tensor:
        """Return the values of both labels, (B, ...) or (), weighted by the ratio.

        The result is float32, or float64 if the values are.
        """
        dtype = wide(own.dtype)
        if own is partner:
            return own.to(dtype)
        own, partner = own.to(dtype), partner.to(dtype)
        if not self.ratio.ndim and readable(self.ratio):
            return weighed_by_number(own, partner, float(self.ratio.to(dtype)))
        return weighed(own, partner, like(self.ratio, own), partial=self.partial or None)
