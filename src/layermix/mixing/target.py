"""The mixed target: the labels under a plan, with the loss and the metrics that are right for it.

Cross-entropy is linear in the target, so ``CE(z, lam*y + (1-lam)*y')`` equals
``lam*CE(z, y) + (1-lam)*CE(z, y')``. The second, the two-loss form of mixup's reference code, is
used throughout: it needs no one-hots and stays meaningful for losses that are not linear in the
target (focal, L1, margin).

Shapes: B batch, C classes; ratio is () or (B,).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from layermix.errors import InputError

Criterion = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class MixedTarget:
    """Labels mixed by a plan.

    Attributes
    ----------
    labels
        Labels of the batch, shape (B, ...); integer classes (B,) for the default loss.
    partner_labels
        Labels of each example's partner, the same shape.
    ratio
        Weight of `labels`, shape () or (B,), in [0, 1].
    """

    labels: Tensor
    partner_labels: Tensor
    ratio: Tensor

    @classmethod
    def clean(cls, labels: Tensor) -> "MixedTarget":
        """Return the target of a batch that was not mixed."""
        return cls(labels, labels, torch.ones((), device=labels.device))

    def loss(self, output: Any, criterion: Criterion | None = None) -> Tensor:
        """Return ``ratio * criterion(output, labels) + (1-ratio) * criterion(output, partner's)``.

        Parameters
        ----------
        output
            What the model returned: logits (B, C), or anything with them as `.logits`.
        criterion
            Loss of (output, labels); cross-entropy when left out. With one ratio for the batch
            it may return a mean () or one loss per example (B, ...); with one ratio per example
            it must return one per example (``reduction="none"``).

        Returns
        -------
        Tensor
            The mean over the batch, shape ().

        Raises
        ------
        InputError
            When labels are not classes of the output, or the criterion reduces what it must not.
        """
        logits = _logits(output)
        if criterion is None:
            criterion = _cross_entropy
            self._check_classes(logits.shape[1] if logits.ndim > 1 else 1)
        first, second = criterion(logits, self.labels), criterion(logits, self.partner_labels)
        if self.ratio.ndim == 0 or first.ndim == 0:
            if self.ratio.ndim:
                raise InputError(
                    "each example has a ratio of its own, but the criterion returned one mean "
                    'for the batch: build it with reduction="none"'
                )
            return self.ratio * first.mean() + (1 - self.ratio) * second.mean()
        ratio = self._ratio_like(first)
        return (ratio * first + (1 - ratio) * second).mean()

    def accuracy(self, output: Any) -> Tensor:
        """Return the accuracy against both labels, weighted by the ratio; shape (), in [0, 1].

        Raises
        ------
        InputError
            When the labels are not integer classes of the output.
        """
        logits = _logits(output)
        guess = logits.argmax(dim=1)  # (B, ...)
        if self.labels.is_floating_point() or self.labels.shape != guess.shape:
            raise InputError(
                f"accuracy needs integer class labels of shape {tuple(guess.shape)}, but the "
                f"labels are {self._kind}{_remedy(self.labels)}"
            )
        self._check_range(logits.shape[1])
        hit, partner_hit = guess == self.labels, guess == self.partner_labels
        ratio = self._ratio_like(hit)
        return (ratio * hit + (1 - ratio) * partner_hit).mean()

    def dense(self, num_classes: int) -> Tensor:
        """Return the soft labels: shape (B, `num_classes`), the ratio's dtype, rows sum to 1."""
        self._check_classes(num_classes)
        ratio = self.ratio.expand(self.labels.shape).unsqueeze(1)  # (B, 1)
        soft = ratio.new_zeros(len(self.labels), num_classes)
        soft.scatter_(1, self.labels.unsqueeze(1), ratio)
        return soft.scatter_add_(1, self.partner_labels.unsqueeze(1), 1 - ratio)

    def _ratio_like(self, values: Tensor) -> Tensor:
        """Return the ratio in a shape that multiplies values of shape (B, ...)."""
        return self.ratio.view(-1, *[1] * (values.ndim - 1)) if self.ratio.ndim else self.ratio

    @property
    def _kind(self) -> str:
        return f"{self.labels.dtype} of shape {tuple(self.labels.shape)}"

    def _check_classes(self, num_classes: int) -> None:
        """Refuse labels that are not one class for each example."""
        if self.labels.ndim != 1 or self.labels.dtype != torch.int64:
            raise InputError(
                "the default loss needs integer class labels (int64) of shape (B,), but the "
                f"labels are {self._kind}{_remedy(self.labels)}, or pass a criterion of your own"
            )
        self._check_range(num_classes)

    def _check_range(self, num_classes: int) -> None:
        """Refuse labels outside the classes; values are looked at only where that is free."""
        if self.labels.device.type != "cpu" or not self.labels.numel():
            return  # reading values would stall the accelerator
        low, high = int(self.labels.min()), int(self.labels.max())
        if low < 0 or high >= num_classes:
            raise InputError(
                f"label {low if low < 0 else high} is outside the {num_classes} classes "
                f"0 to {num_classes - 1} of the output"
            )


def _remedy(labels: Tensor) -> str:
    """Say how labels of another kind become classes."""
    if labels.ndim == 2 and labels.shape[1] > 1:
        return ": one-hot labels become classes by .argmax(dim=1)"
    return ": convert them with .long()" if labels.ndim == 1 else ": one class for each example"


def _cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(logits, labels, reduction="none")


def _logits(output: Any) -> Tensor:
    logits = getattr(output, "logits", output)
    if not isinstance(logits, Tensor):
        raise InputError(
            f"expected logits, or an output with .logits, but the model returned a "
            f"{type(output).__name__}: hand over the logits"
        )
    return logits
