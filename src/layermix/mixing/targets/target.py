"""What every mixed target can do, and the checks that all of them share.

Shapes: B examples, C classes, M outputs of the model: B, or more where a blend mixes more.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from layermix.errors import InputError
from layermix.mixing.targets.entropy import CrossEntropy, in_parts

Criterion = Callable[[Tensor, Tensor], Tensor]
"""A loss of (output, labels)."""


class Target(ABC):
    """The labels of a batch under a plan, with the loss and the metrics that are right for it."""

    def loss(
        self,
        output: Any,
        criterion: Criterion | None = None,
        *,
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
            the batch has one ratio, and must return one loss per example (B, ...) otherwise.
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
            When labels are not classes of the output, or the criterion reduces what it must not.
        """
        how = _heard(criterion, weight, label_smoothing, ignore_index)
        return self._loss(logits_of(output), how)

    @abstractmethod
    def _loss(self, logits: Tensor, how: CrossEntropy | Criterion) -> Tensor:
        """Return the loss by cross-entropy, or by another criterion; shape ()."""

    @abstractmethod
    def accuracy(self, output: Any, k: int = 1, *, ignore_index: int = -100) -> Tensor:
        """Return the share of the labels' weight that the k best guesses have; shape ()."""

    @abstractmethod
    def dense(self, num_classes: int | None = None) -> Tensor:
        """Return the mixed labels: of classes soft labels (M, C)."""

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


def _heard(
    criterion: Criterion | None,
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
    return in_parts(criterion) or criterion


_DEFAULTS = {"weight": None, "label_smoothing": 0.0, "ignore_index": -100}


def kind(labels: Tensor) -> str:
    """Return dtype and shape in words."""
    return f"{labels.dtype} of shape {tuple(labels.shape)}"


def check_classes(
    labels: Tensor, shape: tuple[int, ...], num_classes: int, entropy: CrossEntropy
) -> bool:
    """Refuse labels that are not integer classes of this shape for cross-entropy.

    Values are looked at only where that is free. Returns whether any may be ignored.

    Raises
    ------
    InputError
        For another shape or dtype, or a label outside the classes.
    """
    if labels.shape == shape and labels.dtype == torch.int64:
        return check_range(labels, num_classes, entropy.ignore_index)
    alike = labels.ndim == len(shape) and labels.shape[1:] == shape[1:]
    if alike and labels.dtype == torch.int64:
        raise InputError(
            f"the output is that of {shape[0]} examples, but the labels are those of "
            f"{len(labels)}: hand over the output of the whole batch"
        )
    raise InputError(
        f"{entropy.name} needs integer class labels (int64) of shape "
        f"{_shape(shape)}, but the labels are {kind(labels)}{_remedy(labels, shape)}, or pass "
        "a criterion of your own"
    )


def check_integers(labels: Tensor) -> None:
    """Refuse labels of which no soft labels can be made.

    Raises
    ------
    InputError
        For another dtype than int64.
    """
    if labels.dtype != torch.int64:
        raise InputError(
            f"soft labels are made of integer classes (int64), but the labels are {kind(labels)}: "
            "convert them with .long()"
        )


def check_range(labels: Tensor, num_classes: int, ignore: int | None = None) -> bool:
    """Refuse labels outside the classes but the ignored one, if any.

    Values are looked at only where that is free. Returns whether any may be ignored.

    Raises
    ------
    InputError
        For a label outside the classes.
    """
    if labels.device.type != "cpu" or torch.compiler.is_compiling():
        return True  # reading values would stall the accelerator
    if labels.numel():
        low, high = map(int, labels.aminmax())
        if low >= 0 and high < num_classes and (ignore is None or not low <= ignore <= high):
            return False
    wrong = labels[(labels < 0) | (labels >= num_classes)]
    wrong = wrong if ignore is None else wrong[wrong != ignore]
    if wrong.numel():
        raise InputError(
            f"label {int(wrong.min()) if wrong.min() < 0 else int(wrong.max())} is outside the "
            f"{num_classes} classes 0 to {num_classes - 1} of the output"
        )
    return True


def _shape(shape: tuple[int, ...]) -> str:
    return f"({', '.join(['B', *map(str, shape[1:])])}{',' if len(shape) == 1 else ''})"


def _remedy(labels: Tensor, shape: tuple[int, ...]) -> str:
    """Say how labels of another kind become classes."""
    if labels.ndim == len(shape) + 1 and labels.shape[1] > 1:
        return ": one-hot labels become classes by .argmax(dim=1), soft labels are floats (B, C)"
    if labels.shape == shape:
        return ": convert them with .long()"
    return ": one class for each example" if len(shape) == 1 else ": one class for each position"


def check_labels(labels: Tensor | Mapping[str, Tensor], batch: int) -> None:
    """Refuse what are no labels of a batch, or one of the mapping that are none.

    Raises
    ------
    InputError
        For something else than tensors, or another number of examples.
    """
    if isinstance(labels, Mapping):
        for one in labels.values():
            check_labels(one, batch)
        return
    if not isinstance(labels, Tensor):
        raise InputError(
            f"the labels are a {type(labels).__name__}, but must be a tensor: "
            "torch.as_tensor(labels)"
        )
    if labels.ndim == 0 or labels.shape[0] != batch:
        raise InputError(
            f"the labels have shape {tuple(labels.shape)}, but the plan was drawn for a "
            f"batch of {batch}: draw a plan for each batch"
        )
