"""The base class of mixed targets, with the loss and the metrics for mixed labels.

Shapes: B examples, C classes, M outputs of the model: B, or more if the blend changes batch size.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, NoReturn

import torch
from torch import Tensor

from layermix.errors import InputError, brief
from layermix.mixing.checks import is_whole
from layermix.mixing.targets.criteria import Criterion, loss_of
from layermix.mixing.targets.cross_entropy import CrossEntropy
from layermix.mixing.tensors import wide


class NotATensor:
    """Base class of objects that raise an `InputError` if they are passed to a torch function."""

    @classmethod
    def __torch_function__(
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> NoReturn:
        raise InputError(
            f"{getattr(func, '__name__', func)} needs tensors, but got a {cls.__name__}: use "
            "target.loss(output, criterion), or criterion(output, target.dense(num_classes))"
        )


class Target(NotATensor, ABC):
    """The labels of a batch after mixing."""

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
        """Return the mean loss over the batch, shape (); each label has its weight in the mix.

        For pairs it is ``ratio * criterion(output, labels) + (1-ratio) * criterion(output,
        partner_labels)``. If more than two examples are mixed, a criterion gets mixed labels, with
        classes as soft labels, and must be linear in them. As in torch, the mean of classes uses
        class weights and skips ignored labels; the mean of float labels is over rows.

        Parameters
        ----------
        output
            Output of the model: logits (M, C, ...), or an object with `.logits`.
        criterion
            Loss of (output, labels). Default: cross-entropy of integer classes, or of probabilities
            with the logits' shape. Use ``torch.nn.BCEWithLogitsLoss()`` for multilabel targets and
            ``torch.nn.MSELoss()`` for regression. CrossEntropyLoss and NLLLoss keep their mean; the
            losses of other modules are averaged here. A function may return a mean () if the batch
            has one ratio and no `sample_weight`. Otherwise it must return one loss per example
            (B, ...). A criterion of soft labels, such as ``torch.nn.KLDivLoss()``, gets classes as
            one-hot labels.
        sample_weight
            Weight of each example, (B,), or of each position of the labels. The loss is the mean of
            ``ratio * w * loss + (1-ratio) * w[partner] * partner_loss``, not divided by weights.
        weight, label_smoothing, ignore_index
            As for `torch.nn.CrossEntropyLoss`; for the default loss only.

        Raises
        ------
        InputError
            If labels are not classes of the output, if labels and output would be broadcast, or if
            the criterion returns a mean where it must return one loss per example.
        """
        logits = output if isinstance(output, Tensor) else logits_of(output)
        if criterion is None and sample_weight is None and weight is None:
            plain = ignore_index == -100 and 0 <= label_smoothing <= 1
            if plain and (loss := self._plain_loss(logits, label_smoothing)) is not None:
                return loss
        how = loss_of(criterion, logits, weight, label_smoothing, ignore_index)
        return self._loss(logits, how, sample_weight)

    def accuracy(self, output: Any, k: int = 1, *, ignore_index: int = -100) -> Tensor:
        """Return the share of the total label weight that is in the top k predictions.

        A model that always predicts the label of larger weight does not reach 1: with ratios from
        Beta(1, 1) it reaches 0.75, and more if partners have the same class. Its
        `dominant_accuracy` is 1.

        Parameters
        ----------
        output
            Output of the model: logits (M, C, ...), or an object with `.logits`.
        k
            Number of predictions per output, as in top-k accuracy.
        ignore_index
            Class label that is ignored.

        Returns
        -------
        Tensor
            Shape (), in [0, 1]; NaN if no label has a weight.

        Raises
        ------
        InputError
            If the output has no classes, or the labels are neither integer classes nor
            nonnegative soft labels of the output's shape.
        """
        logits = _checked(output, k)
        if k == 1 and ignore_index == -100 and (found := self._plain_accuracy(logits)) is not None:
            return found
        found, total = self._found(logits, k, ignore_index)
        return (found / total).to(wide(logits.dtype))

    def dominant_accuracy(self, output: Any, k: int = 1, *, ignore_index: int = -100) -> Tensor:
        """Return the share of outputs whose top k predictions include the label of largest weight.

        Parameters and errors are those of `accuracy`. Shape (); NaN if all labels are ignored.
        """
        logits = _checked(output, k)
        labels = self._dominant(logits, ignore_index)
        hits = (best(logits, k) == labels.unsqueeze(1)).any(1)
        counted = labels != ignore_index
        return ((hits & counted).sum() / counted.sum()).to(wide(logits.dtype))

    @abstractmethod
    def dense(self, num_classes: int | None = None, dtype: torch.dtype | None = None) -> Tensor:
        """Return the mixed labels; classes become soft labels (M, C)."""

    def _plain_loss(self, logits: Tensor, label_smoothing: float) -> Tensor | None:
        """Return the default cross-entropy if it has a fast computation, else None."""
        return None

    def _plain_accuracy(self, logits: Tensor) -> Tensor | None:
        """Return the accuracy if it has a fast computation, else None."""
        return None

    @abstractmethod
    def _loss(
        self, logits: Tensor, how: CrossEntropy | Criterion, sample_weight: Tensor | None
    ) -> Tensor:
        """Return the loss of a criterion, shape ()."""

    @abstractmethod
    def _found(self, logits: Tensor, k: int, ignore_index: int) -> tuple[Tensor, Tensor]:
        """Return the label weight in the top k predictions, and the total weight; both ()."""

    @abstractmethod
    def _dominant(self, logits: Tensor, ignore_index: int) -> Tensor:
        """Return the label with the largest weight for each output, int64 (M, ...)."""

    def nll(self, output: Any, *, ignore_index: int = -100) -> Tensor:
        """Return the negative log-likelihood in nats, shape (), without smoothing or gradient."""
        with torch.no_grad():
            return self.loss(output, ignore_index=ignore_index)


def logits_of(output: Any) -> Tensor:
    """Return the logits of a model's output: a tensor, `.logits` or ``["logits"]``."""
    logits = getattr(output, "logits", output)
    if isinstance(logits, Mapping):
        logits = logits.get("logits")
    if isinstance(logits, Tensor):
        return logits
    raise InputError(
        f"expected logits, or an output with .logits, but the model returned a "
        f"{type(output).__name__}: pass the logits"
    )


def best(logits: Tensor, k: int) -> Tensor:
    """Return the k classes with the largest logits (or all C if k > C), int64 (M, k, ...)."""
    return logits.topk(min(k, logits.shape[1]), dim=1).indices


def among(guesses: Tensor, soft: Tensor) -> Tensor:
    """Return soft labels (M, C, ...), set to 0 except for the classes in `guesses` (M, k, ...).

    The shape is kept, so that sums have the same rounding and no share exceeds 1.
    """
    return torch.where(torch.zeros_like(soft, dtype=torch.bool).scatter(1, guesses, True), soft, 0)


def dense_dtype(labels: Tensor, num_classes: int | None, dtype: torch.dtype | None) -> torch.dtype:
    """Return the dtype of mixed labels: `dtype` if given, else a default for floats or classes.

    Raises an `InputError` for other dtypes, or for classes without `num_classes`.
    """
    floats = labels.is_floating_point()
    dtype = dtype or (labels.dtype if floats else torch.get_default_dtype())
    if not dtype.is_floating_point:
        raise InputError(f"mixed labels are floating point, so dtype cannot be {dtype}")
    if num_classes is None and not floats:
        raise InputError("integer labels need num_classes to become soft labels")
    return dtype


def _checked(output: Any, k: int) -> Tensor:
    logits = logits_of(output)
    if logits.ndim < 2 or logits.shape[1] == 1:
        raise InputError(
            f"accuracy needs an output with two classes or more, but it has shape "
            f"{tuple(logits.shape)}: compare (output > 0) with the labels instead"
        )
    if not is_whole(k) or k < 1:
        raise InputError(f"k is {brief(k)}, but must be a whole number >= 1")
    return logits
