"""What every mixed target can do.

Shapes: B examples, C classes, M outputs of the model: B, or more where a blend mixes more.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from layermix.errors import InputError, brief
from layermix.mixing.checks import is_whole
from layermix.mixing.targets.criteria import Criterion, in_parts
from layermix.mixing.targets.entropy import CrossEntropy


class Target(ABC):
    """The labels of a batch under a plan, with the loss and the metrics that are right for it."""

    def loss(
        self,
        output: Any,
        criterion: Criterion | None = None,
        *,
        sample_weight: Tensor | None = None,
        weight: Tensor | None = None,
        label_smoothing: float = 0.0,
        ignore_index: int = -100,
    ) -> Tensor:
        """Return the mean loss over the batch, each label weighted as it was mixed.

        Of pairs it is ``ratio * criterion(output, labels) + (1-ratio) * criterion(output,
        partner's)``. Where more than two are mixed, a criterion must be linear in the labels and
        gets those mixed, classes as soft labels.

        Parameters
        ----------
        output
            What the model returned: logits (M, C, ...), or anything with them as `.logits`.
        criterion
            Loss of (output, labels). Left out: cross-entropy, for integer classes as for floats
            of the logits' shape, which are taken for probabilities. Several labels at once need
            ``torch.nn.BCEWithLogitsLoss()``, numbers ``torch.nn.MSELoss()``. CrossEntropyLoss and
            NLLLoss keep their own mean, with class weights and ignored labels; of another module
            that takes the mean the parts are averaged here; a function may return a mean () where
            the batch has one ratio and no `sample_weight`, and must return one loss per example
            (B, ...) otherwise. A criterion of soft labels, such as ``torch.nn.KLDivLoss()``, gets
            classes as one-hot labels.
        sample_weight
            Weight of each example, (B,), or of each position of the labels. Each label is weighted
            by the weight of its own example: the mean over the batch of ``ratio * w * loss +
            (1-ratio) * w[partner] * partner's loss``. It is not divided by the weights.
        weight
            Of each class in the default loss, (C,).
        label_smoothing
            Of the default loss, in [0, 1].
        ignore_index
            Label that the default loss leaves out.

        Returns
        -------
        Tensor
            Shape (). The mean is torch's: of integer classes over the class weights of those that
            are not ignored, of float labels over the rows.

        Raises
        ------
        InputError
            When labels are not classes of the output, labels and output would be compared all with
            all, or the criterion reduces what it must not.
        """
        logits = logits_of(output)
        how = _heard(criterion, logits, weight, label_smoothing, ignore_index)
        return self._loss(logits, how, sample_weight)

    def accuracy(self, output: Any, k: int = 1, *, ignore_index: int = -100) -> Tensor:
        """Return the share of the labels' total weight that the k best guesses have.

        That is the sum over the batch of the weight of the labels among the guesses, over the sum
        of the weight of all labels. If the labels of each example sum to 1, as classes and
        probabilities do, it is the mean weight of the guesses. Of several labels at once, such as
        (1, 1, 0), each counts alike.

        Parameters
        ----------
        output
            What the model returned: logits (M, C, ...), or anything with them as `.logits`.
        k
            How many of the best guesses count: top-k accuracy.
        ignore_index
            Class label that does not count.

        Returns
        -------
        Tensor
            Shape (), in [0, 1]; NaN if no label has a weight.

        Raises
        ------
        InputError
            When the output has no classes, or the labels are neither integer classes of it nor
            soft labels, which have its shape and no negative numbers.
        """
        logits = logits_of(output)
        if logits.ndim < 2 or logits.shape[1] == 1:
            raise InputError(
                f"accuracy needs an output with two classes or more, but it has shape "
                f"{tuple(logits.shape)}: compare (output > 0) with the labels instead"
            )
        if not is_whole(k) or k < 1:
            raise InputError(f"k is {brief(k)}, but must be a whole number >= 1")
        found, total = self._found(logits, k, ignore_index)
        return (found / total).to(wide(logits.dtype))

    @abstractmethod
    def dense(self, num_classes: int | None = None, dtype: torch.dtype | None = None) -> Tensor:
        """Return the mixed labels: of classes soft labels (M, C)."""

    @abstractmethod
    def _loss(
        self, logits: Tensor, how: CrossEntropy | Criterion, sample_weight: Tensor | None
    ) -> Tensor:
        """Return the loss by cross-entropy, or by another criterion; shape ()."""

    @abstractmethod
    def _found(self, logits: Tensor, k: int, ignore_index: int) -> tuple[Tensor, Tensor]:
        """Return the weight of the labels among the k best guesses, and of all; both ()."""

    def nll(self, output: Any, *, ignore_index: int = -100) -> Tensor:
        """Return the negative log-likelihood in nats, unsmoothed and without gradient; shape ()."""
        with torch.no_grad():
            return self.loss(output, ignore_index=ignore_index)


def logits_of(output: Any) -> Tensor:
    """Return the logits of what a model returned: a tensor, `.logits` or ``["logits"]``.

    Raises
    ------
    InputError
        When there are none.
    """
    logits = getattr(output, "logits", output)
    if isinstance(logits, Mapping):
        logits = logits.get("logits")
    if isinstance(logits, Tensor):
        return logits
    raise InputError(
        f"expected logits, or an output with .logits, but the model returned a "
        f"{type(output).__name__}: hand over the logits"
    )


def best(logits: Tensor, k: int) -> Tensor:
    """Return the k best guesses, or all classes if they are fewer, int64 (M, k, ...)."""
    return logits.topk(min(k, logits.shape[1]), dim=1).indices


def among(guesses: Tensor, soft: Tensor) -> Tensor:
    """Return soft labels (M, C, ...) with 0 for all classes but the guesses (M, k, ...).

    In this form sums are taken in one order, so that no share of the labels is more than 1.
    """
    return torch.where(torch.zeros_like(soft, dtype=torch.bool).scatter(1, guesses, True), soft, 0)


def wide(dtype: torch.dtype) -> torch.dtype:
    """Return float32, or float64 if that is the dtype."""
    return torch.promote_types(dtype, torch.float32)


def checked_dtype(dtype: torch.dtype) -> torch.dtype:
    """Return the dtype of soft labels.

    Raises
    ------
    InputError
        For one that is not floating point.
    """
    if not dtype.is_floating_point:
        raise InputError(f"mixed labels are floating point, so dtype cannot be {dtype}")
    return dtype


def _heard(
    criterion: Criterion | None,
    logits: Tensor,
    weight: Tensor | None,
    label_smoothing: float,
    ignore_index: int,
) -> CrossEntropy | Criterion:
    """Return the loss that is asked for.

    Raises
    ------
    InputError
        For settings of cross-entropy beside a criterion, which would not be heard.
    """
    settings = {"weight": weight, "label_smoothing": label_smoothing, "ignore_index": ignore_index}
    if criterion is None:
        return CrossEntropy(**settings)
    changed = [name for name, default in _DEFAULTS.items() if settings[name] != default]
    if changed:
        raise InputError(
            f"{changed[0]} is a setting of the default loss, but a criterion was given: build the "
            "criterion with it"
        )
    if not callable(criterion):
        raise InputError(f"the criterion is {brief(criterion)}, but must be a function or module")
    return in_parts(criterion, logits) or criterion


_DEFAULTS = {"weight": None, "label_smoothing": 0.0, "ignore_index": -100}
