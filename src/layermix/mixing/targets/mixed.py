"""The mixed target of pairs: the labels of two examples, each with its weight.

Cross-entropy is linear in the target, so ``CE(z, lam*y + (1-lam)*y')`` equals
``lam*CE(z, y) + (1-lam)*CE(z, y')``. The second, the two-loss form of mixup's reference code, is
used throughout: it needs no one-hots and stays meaningful for losses that are not linear in the
target (focal, L1, margin).

Shapes: B batch, C classes, `...` positions of dense labels.
"""

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from layermix.errors import InputError
from layermix.mixing.targets.entropy import CrossEntropy, Parts
from layermix.mixing.targets.positions import like
from layermix.mixing.targets.target import (
    Criterion,
    Target,
    check_classes,
    check_integers,
    check_range,
    kind,
    logits_of,
)


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
    """

    labels: Tensor
    partner_labels: Tensor
    ratio: Tensor

    @classmethod
    def clean(cls, labels: Tensor) -> "MixedTarget":
        """Return the target of a batch that was not mixed."""
        return cls(labels, labels, torch.ones((), device=labels.device))

    def accuracy(self, output: Any, k: int = 1, *, ignore_index: int = -100) -> Tensor:
        """Return the accuracy against both labels, weighted by the ratio; shape (), in [0, 1].

        Of soft labels it is the probability that they give to the guesses.

        Parameters
        ----------
        output
            What the model returned: logits (B, C, ...), or anything with them as `.logits`.
        k
            How many of the best guesses count: top-k accuracy.
        ignore_index
            Label that does not count.

        Raises
        ------
        InputError
            When the labels are neither integer classes of the output nor soft labels.
        """
        logits = logits_of(output)
        guesses = logits.topk(min(k, logits.shape[1]), dim=1).indices  # (B, k, ...)
        if self.labels.is_floating_point() and self.labels.shape == logits.shape:
            return self.dense().gather(1, guesses).sum(1).mean()
        if self.labels.is_floating_point() or self.labels.shape != guesses[:, 0].shape:
            raise InputError(
                f"accuracy needs integer class labels of shape {tuple(guesses[:, 0].shape)}, but "
                f"the labels are {kind(self.labels)}"
            )
        for labels in self._both:
            check_range(labels, logits.shape[1], ignore_index)
        counts = [labels != ignore_index for labels in self._both]
        hits = [(guesses == labels.unsqueeze(1)).any(1) for labels in self._both]
        right = self._weigh(*(hit & count for hit, count in zip(hits, counts, strict=True)))
        return right.sum() / self._weigh(*counts).sum()

    def dense(self, num_classes: int | None = None) -> Tensor:
        """Return the mixed labels.

        Parameters
        ----------
        num_classes
            Number of classes C, for integer labels.

        Returns
        -------
        Tensor
            Of integer classes (B, ...) soft labels (B, C, ...) in the ratio's dtype, which sum to
            1 over the classes; of floats the labels mixed by the ratio, in their shape.

        Raises
        ------
        InputError
            When `num_classes` is missing, or labels are outside the classes.
        """
        if self.labels.is_floating_point():
            return self._weigh(*self._both)
        if num_classes is None:
            raise InputError("integer labels need num_classes to become soft labels")
        check_integers(self.labels)
        for labels in self._both:
            check_range(labels, num_classes)
        ratio = like(self.ratio, self.labels).expand(self.labels.shape).unsqueeze(1)  # (B, 1, ...)
        soft = ratio.new_zeros(len(ratio), num_classes, *ratio.shape[2:])
        soft.scatter_(1, self.labels.unsqueeze(1), ratio)
        return soft.scatter_add_(1, self.partner_labels.unsqueeze(1), 1 - ratio)

    @property
    def _both(self) -> tuple[Tensor, Tensor]:
        return self.labels, self.partner_labels

    def _loss(self, logits: Tensor, how: CrossEntropy | Criterion) -> Tensor:
        """Return ``ratio * how(logits, labels) + (1-ratio) * how(logits, partner's labels)``."""
        if isinstance(how, CrossEntropy):
            if (mean := self._of_means(how, logits)) is not None:
                return mean
            first, second = (self._parts(how, logits, labels) for labels in self._both)
            return Parts(self._weigh(first.loss, second.loss), self._norm(first, second)).mean()
        self._check_numbers(logits)
        if self.ratio.ndim and getattr(how, "reduction", None) == "mean":
            how = copy.copy(how)
            how.reduction = "none"  # pyright: ignore[reportFunctionMemberAccess]
        one, other = (how(logits, labels) for labels in self._both)
        self._check_losses(one)
        return self._weigh(one, other).mean()

    def _of_means(self, how: CrossEntropy, logits: Tensor) -> Tensor | None:
        """Return the loss made of torch's own means over both labels, or None where it is not.

        It is where the batch has one ratio and every label counts alike.
        """
        whole = self.ratio.ndim == 0 and self.ratio.dtype == logits.dtype == torch.float32
        if not whole or how.weight is not None or self.labels.is_floating_point():
            return None
        if any(self._ignored(how, logits, labels) for labels in self._both):
            return None
        if self.partner_labels is self.labels:
            return how.means_of_classes(logits, self.labels)[0]
        own, partner = how.means_of_classes(logits, *self._both)
        return torch.lerp(partner, own, self.ratio)

    def _norm(self, first: Parts, second: Parts) -> Tensor | None:
        """Return the norms of both labels, weighted by the ratio."""
        if first.norm is None and second.norm is None:
            return None
        own, other = (
            torch.ones_like(part.loss) if part.norm is None else part.norm
            for part in (first, second)
        )
        # In this form equal weights, 1 without class weights, stay what they are to the digit.
        return other + like(self.ratio, own) * (own - other)

    def _check_losses(self, losses: Tensor) -> None:
        """Refuse one mean, or any but (B, ...), where ratios differ within the batch."""
        each = "example" if self.ratio.ndim == 1 else "position"
        if self.ratio.ndim and losses.ndim == 0:
            raise InputError(
                f"each {each} has a ratio of its own, but the criterion returned one mean "
                'for the batch: build it with reduction="none"'
            )
        if self.ratio.ndim and len(losses) != len(self.labels):
            raise InputError(
                f"each {each} has a ratio of its own, but the criterion returned losses of shape "
                f"{tuple(losses.shape)} for {len(self.labels)} examples: it must return "
                f"({len(self.labels)}, ...)"
            )

    def _check_numbers(self, output: Tensor) -> None:
        """Refuse numbers (B,) against an output (B, 1): a criterion would compare all with all."""
        labels = self.labels
        alike = labels.squeeze().shape == output.squeeze().shape and len(labels) > 1
        if labels.is_floating_point() and alike and labels.shape != output.shape:
            raise InputError(
                f"the labels are numbers of shape {tuple(labels.shape)}, but the output has shape "
                f"{tuple(output.shape)}, and a loss of both would compare each with every other: "
                f"give both the same shape, labels.view({', '.join(map(str, output.shape))})"
            )

    def _parts(self, entropy: CrossEntropy, logits: Tensor, labels: Tensor) -> Parts:
        if labels.is_floating_point() and labels.shape == logits.shape:
            return entropy.of_probabilities(logits, labels)
        return entropy.of_classes(logits, labels, self._ignored(entropy, logits, labels))

    def _ignored(self, entropy: CrossEntropy, logits: Tensor, labels: Tensor) -> bool:
        """Return whether any of the labels may be ignored; refuse what are no classes."""
        shape = (*logits.shape[:1], *logits.shape[2:])
        return check_classes(labels, shape, _classes(logits), entropy)

    def _weigh(self, own: Tensor, partner: Tensor) -> Tensor:
        """Return the values of both labels, (B, ...) or (), weighted by the ratio."""
        ratio = like(self.ratio, own)
        if ratio.dtype == own.dtype == partner.dtype:
            return torch.lerp(partner, own, ratio)
        return ratio * own + (1 - ratio) * partner


def _classes(logits: Tensor) -> int:
    return logits.shape[1] if logits.ndim > 1 else 1
