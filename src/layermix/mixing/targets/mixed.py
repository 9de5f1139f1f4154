"""The mixed target of pairs: the labels of two examples, each with its weight.

Cross-entropy is linear in the target, so ``CE(z, lam*y + (1-lam)*y')`` equals
``lam*CE(z, y) + (1-lam)*CE(z, y')``. All losses use the second form, as mixup's reference code
does. It needs no one-hot labels, and is valid for losses that are not linear in the target (focal,
L1, margin).

Shapes: B batch, C classes, `...` positions of dense labels.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from layermix.errors import InputError
from layermix.mixing.blends.linear import is_small, pair_mix
from layermix.mixing.pairs import Pairs
from layermix.mixing.targets.criteria import Criterion, unreduced
from layermix.mixing.targets.criterion_labels import check_losses, losses_of
from layermix.mixing.targets.cross_entropy import CrossEntropy, Parts
from layermix.mixing.targets.label_checks import (
    check_integers,
    check_range,
    check_soft,
    check_weights,
    describe,
)
from layermix.mixing.targets.target import Target, among, best, dense_dtype
from layermix.mixing.targets.weighting import PairWeights, counted, like, weighted
from layermix.mixing.tensors import is_readable, weighted_sum, wide


@dataclass(frozen=True, eq=False)
class MixedTarget(Target):
    """The labels of examples and of their partners, and the ratio that weights them.

    Attributes
    ----------
    labels, partner_labels
        Labels of the examples and of their partners: integer classes (B,), or (B, ...) for dense
        predictions; floats for soft labels (B, C, ...), multilabel targets or regression.
    ratio
        Weight of `labels`, in [0, 1]: shape () or (B,), or a shape that broadcasts to theirs.
    of_partners
        Function that returns the partners' rows of a tensor (B, ...); needed for `sample_weight`
        only.
    pairs
        The pairs of examples with this ratio, if there is one for each example or for all.

    Examples
    --------
    >>> import torch
    >>> target = MixedTarget(torch.tensor([0, 1]), torch.tensor([1, 0]), torch.tensor(0.75))
    >>> target.loss(torch.tensor([[2.0, 0.0], [0.0, 2.0]]))
    tensor(0.6269)
    """

    labels: Tensor
    partner_labels: Tensor
    ratio: Tensor
    of_partners: Callable[[Tensor], Tensor] | None = field(default=None, repr=False)
    pairs: Pairs | None = field(default=None, repr=False)

    @classmethod
    def clean(cls, labels: Tensor) -> "MixedTarget":
        """Return a target with the labels of a batch that was not mixed."""
        return cls(labels, labels, torch.ones((), device=labels.device))

    def _plain_loss(self, logits: Tensor, label_smoothing: float) -> Tensor | None:
        """Return the loss as one mean of torch, or None if this would not be exact."""
        if not self._has_one_mean(logits):
            return None
        log_prob = torch.log_softmax(logits, 1, wide(logits.dtype))
        if label_smoothing:
            uniform = log_prob.mean(1, keepdim=True)
            log_prob = torch.add((1 - label_smoothing) * log_prob, uniform, alpha=label_smoothing)
        return self._mean_nll(log_prob)

    def _plain_accuracy(self, logits: Tensor) -> Tensor | None:
        """Return the accuracy as one mean of torch, or None if this would not be exact."""
        if not self._has_one_mean(logits):
            return None
        hits = torch.zeros_like(logits, dtype=wide(logits.dtype), requires_grad=False)
        return self._mean_nll(hits.scatter_(1, best(logits, 1), 1.0)).abs()

    def _has_one_mean(self, logits: Tensor) -> bool:
        """Return True for integer classes, and one ratio whose partners are a permutation.

        The means over examples and over partners then have the same number of ignored labels.
        """
        clean = self.partner_labels is self.labels and not self.ratio.ndim
        pairs = self.pairs
        mixed = pairs is not None and pairs.permutation and not pairs.per_sample
        return (
            (clean or mixed)
            and logits.is_floating_point()
            and logits.ndim > 1
            and logits.shape[1] > 1
            and self.labels.dtype == torch.int64
            and self.labels.shape == (logits.shape[0], *logits.shape[2:])
        )

    def _mean_nll(self, log_prob: Tensor) -> Tensor:
        """Return the mean of ``-ratio * own - (1-ratio) * partner``, the values of both labels.

        If the partners are a permutation, the sum over examples of ``(1-ratio) * log_prob[i,
        labels[partner[i]]]`` is that of ``(1-ratio) * log_prob[inverse[j], labels[j]]``. So the
        values are mixed before those of the labels are selected.
        """
        pairs = None if self.partner_labels is self.labels else self.pairs
        try:
            if pairs is None:
                return F.nll_loss(log_prob, self.labels)
            if is_small(log_prob) and pairs.interior and log_prob.dtype == self.ratio.dtype:
                own = F.nll_loss(log_prob, self.labels) * self.ratio
                partner = F.nll_loss(log_prob, self.partner_labels)
                return torch.add(own, partner, alpha=1 - float(self.ratio))
            return F.nll_loss(pair_mix(log_prob, pairs.inverted()), self.labels)
        except (IndexError, RuntimeError):
            check_range(self.labels, log_prob.shape[1], -100)
            raise

    def dense(self, num_classes: int | None = None, dtype: torch.dtype | None = None) -> Tensor:
        """Return the mixed labels: soft labels (B, C, ...) of integer classes, or floats.

        Parameters
        ----------
        num_classes
            Number of classes C, for integer labels.
        dtype
            Default: torch's default dtype for classes, and the dtype of the labels for floats.

        Raises
        ------
        InputError
            If `num_classes` is missing for classes, or `dtype` is not floating point.
        """
        dtype = dense_dtype(self.labels, num_classes, dtype)
        if self.labels.is_floating_point():
            return self._weigh(*(labels.to(wide(dtype)) for labels in self._both)).to(dtype)
        assert num_classes is not None
        for labels in self._both:
            check_integers(labels, num_classes)
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
        if (soft := self._compared(logits, ignore_index)) is not None:
            return among(guesses, soft).sum(), soft.sum()
        counts = [labels != ignore_index for labels in self._both]
        hits = [(guesses == labels.unsqueeze(1)).any(1) for labels in self._both]
        hits = [hit & count for hit, count in zip(hits, counts, strict=True)]
        dtype = wide(self.ratio.dtype)
        right, total = (self._weigh(*(each.to(dtype) for each in two)) for two in (hits, counts))
        return right.sum(), total.sum()

    def _dominant(self, logits: Tensor, ignore_index: int) -> Tensor:
        if (soft := self._compared(logits, ignore_index)) is not None:
            return soft.argmax(1)
        return torch.where(like(self.ratio, self.labels) >= 0.5, *self._both)

    def _compared(self, logits: Tensor, ignore_index: int) -> Tensor | None:
        """Check labels for a metric; return mixed soft labels, or None for integer classes."""
        floats, shape = self.labels.is_floating_point(), (logits.shape[0], *logits.shape[2:])
        if floats and self.labels.shape == logits.shape:
            check_soft(self.labels)
            return self.dense(dtype=torch.promote_types(self.labels.dtype, wide(self.ratio.dtype)))
        if floats or self.labels.shape != shape:
            raise InputError(
                f"accuracy needs integer class labels of shape {shape}, but the labels are "
                f"{describe(self.labels)}"
            )
        for labels in self._both:
            check_range(labels, logits.shape[1], ignore_index)
        return None

    def _loss(
        self, logits: Tensor, how: CrossEntropy | Criterion, sample_weight: Tensor | None
    ) -> Tensor:
        weights = self._weights(sample_weight)
        if isinstance(how, CrossEntropy):
            return self.parts(how, logits, weights).mean()
        each = self.ratio.ndim > 0 or weights is not None
        criterion, mean = unreduced(how, each)
        losses = losses_of(criterion, logits, *self._counted(logits, weights))
        if each:
            check_losses(losses[0], self.labels, self.ratio)
        return mean(self._weigh(*weighted(losses, weights)))

    def parts(self, how: CrossEntropy, logits: Tensor, weights: PairWeights = None) -> Parts:
        """Return the mixed loss of each example or position, and its weight in the mean."""
        first, second = (how.of_labels(logits, y) for y in self._counted(logits, weights))
        losses = self._weigh(*weighted([first.loss, second.loss], weights))
        if first.norm is None and second.norm is None:
            return Parts(losses, None)
        own, other = (part.norms().to(wide(part.loss.dtype)) for part in (first, second))
        # This form is exact if both norms are equal, for example 1 without class weights.
        return Parts(losses, other + like(self.ratio, own).to(own.dtype) * (own - other))

    def _counted(self, logits: Tensor, weights: PairWeights) -> tuple[Tensor, Tensor]:
        """Return the labels of examples and partners, finite where their weight is 0."""
        if weights is None and self.pairs is not None and self.pairs.interior:
            return self._both
        return counted(*self._both, self.ratio.to(wide(logits.dtype)), weights)

    def _weights(self, sample_weight: Tensor | None) -> PairWeights:
        if sample_weight is None:
            return None
        check_weights(sample_weight, self.labels)
        if self.partner_labels is self.labels:
            return sample_weight, sample_weight
        if self.of_partners is None:
            raise InputError(
                "sample_weight needs the partners of the examples, which this target does not "
                "have: use plan.target(labels), or pass MixedTarget(..., of_partners=...)"
            )
        return sample_weight, self.of_partners(sample_weight)

    def _weigh(self, own: Tensor, partner: Tensor) -> Tensor:
        """Mix values of the examples and of the partners, both (B, ...) or (), by the ratio."""
        dtype = wide(own.dtype)
        if own is partner:
            return own.to(dtype)
        own, partner = own.to(dtype), partner.to(dtype)
        if self.ratio.ndim or not is_readable(self.ratio):
            interior = self.pairs.interior if self.pairs else None
            return weighted_sum(own, partner, like(self.ratio, own), interior=interior or None)
        ratio = float(self.ratio.to(dtype))
        if ratio in (0, 1):  # a value of weight 0 may be infinite
            return own if ratio else partner
        return torch.add(ratio * own, partner, alpha=1 - ratio)
