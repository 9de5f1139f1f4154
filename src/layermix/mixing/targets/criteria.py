"""Criteria of the user: which labels they take, and their losses before these are averaged.

A criterion takes class labels, (B, ...) for an output (B, C, ...), or soft labels of the output's
shape. Given the wrong ones, most raise an error. Where the batch has as many examples as there are
classes, or one, they compare each label with every output instead, and no error shows it.

Shapes: B examples, C classes, `...` positions.
"""

import copy
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from layermix.errors import InputError, brief
from layermix.mixing.targets.broadcast import ERRORS, Criterion, are_classes, check_compared
from layermix.mixing.targets.cross_entropy import CrossEntropy, LogLikelihood
from layermix.mixing.targets.kinds import CLASS_MODULES, name_of, needs_soft, of_timm, same
from layermix.mixing.targets.label_checks import check_integers, check_range


def in_parts(criterion: object, logits: Tensor) -> CrossEntropy | None:
    """Return cross-entropy or log-likelihood of torch or timm in parts; None for other criteria.

    A class derived from theirs with a `forward` of its own is another criterion.
    """
    if of_timm(criterion):
        return _timm_in_parts(criterion, logits)
    if getattr(criterion, "reduction", None) != "mean":
        return None
    if isinstance(criterion, nn.CrossEntropyLoss) and same(criterion, nn.CrossEntropyLoss):
        return CrossEntropy(criterion.weight, criterion.label_smoothing, criterion.ignore_index)
    if isinstance(criterion, nn.NLLLoss) and same(criterion, nn.NLLLoss):
        return LogLikelihood(criterion.weight, 0.0, criterion.ignore_index)
    return None


def _timm_in_parts(criterion: object, logits: Tensor) -> CrossEntropy | None:
    """Return cross-entropy of timm in parts; None for its other criteria.

    Raises
    ------
    InputError
        For an output with positions, of which timm takes the last dimension for the classes, and
        for a criterion of copies of a batch.
    """
    name = name_of(criterion)
    if name == "JsdCrossEntropy":
        raise InputError(
            "JsdCrossEntropy compares the outputs of several copies of each example, which no "
            "mixed batch has: use the default loss, or train with it without mixing"
        )
    if name not in ("SoftTargetCrossEntropy", "LabelSmoothingCrossEntropy"):
        return None
    smoothing = getattr(criterion, "smoothing", 0.0)
    if logits.ndim != 2:
        raise InputError(
            f"{name} has its classes in the last dimension, but the output of shape "
            f"{tuple(logits.shape)} has them in the second: use the default loss, "
            f"target.loss(output, label_smoothing={smoothing})"
        )
    return CrossEntropy(label_smoothing=smoothing)


def loss_of(
    criterion: Criterion | None,
    logits: Tensor,
    weight: Tensor | None,
    label_smoothing: float,
    ignore_index: int,
) -> CrossEntropy | Criterion:
    """Return the loss to compute; reject settings that a criterion would ignore."""
    if criterion is None:
        return CrossEntropy(weight, label_smoothing, ignore_index)
    given = {
        "weight": weight is not None,
        "label_smoothing": label_smoothing != 0,
        "ignore_index": ignore_index != -100,
    }
    if any(given.values()):
        raise InputError(
            f"{next(name for name in given if given[name])} is a setting of the default loss, but "
            "a criterion was given: build the criterion with it"
        )
    if not callable(criterion):
        raise InputError(f"the criterion is {brief(criterion)}, but must be a function or module")
    return in_parts(criterion, logits) or criterion


class Unreduced(NamedTuple):
    """A criterion that returns one loss per example, and how these become one number.

    Attributes
    ----------
    losses
        The criterion.
    of_batch
        True if the mean is the sum of all losses over the number of examples.
    """

    losses: Criterion
    of_batch: bool = False

    def mean(self, losses: Tensor) -> Tensor:
        """Return the mean of the losses, or their sum over the number of examples; shape ()."""
        return losses.sum() / len(losses) if self.of_batch else losses.mean()


def unreduced(criterion: Criterion) -> Unreduced:
    """Return a criterion that does not average; one that cannot be changed as it is."""
    reduction = getattr(criterion, "reduction", None)
    if reduction not in ("mean", "batchmean"):
        return Unreduced(criterion)
    criterion = copy.copy(criterion)
    criterion.reduction = "none"  # pyright: ignore[reportFunctionMemberAccess]
    return Unreduced(criterion, reduction == "batchmean")


def losses_of(criterion: Criterion, logits: Tensor, *several: Tensor) -> list[Tensor]:
    """Return what a criterion returns for each of several labels of the batch.

    Classes become one-hot labels for criteria of torch, torchvision and timm that need them.

    Parameters
    ----------
    criterion
        Any but those `in_parts`.
    logits
        Output of the model, (B, C, ...).
    several
        Labels, all of one shape and dtype. One that comes twice is used once.

    Raises
    ------
    InputError
        For class labels and another criterion that needs soft ones, or labels that would be
        compared with all outputs.
    """
    check_compared(criterion, several[0], logits)
    classes = are_classes(several[0], logits)
    if classes and needs_soft(criterion):
        several = tuple(one_hot(labels, logits.shape[1], logits.dtype) for labels in several)
    elif classes and not torch.compiler.is_compiling():
        if logits.shape[0] in (1, logits.shape[1]):
            _check_classes_fit(criterion, logits, several[0])
        try:
            return _each(criterion, logits, several)
        except ERRORS as error:
            if _fails(criterion, logits, _as_soft(logits, several[0])):
                raise
            raise _refusal(criterion, logits, several[0]) from error
    return _each(criterion, logits, several)


def check_losses(losses: Tensor, labels: Tensor, ratio: Tensor) -> None:
    """Raise an error unless there is one loss for each example that has a ratio or weight."""
    if losses.ndim == 0 or len(losses) != len(labels):
        found = f"losses of shape {tuple(losses.shape)}" if losses.ndim else "one mean"
        each = "position" if ratio.ndim > 1 else "example"
        what = "ratio" if ratio.ndim else "weight"
        raise InputError(
            f"each {each} has a {what} of its own, but the criterion returned {found} for "
            f"{len(labels)} examples: it must return one loss for each, as with "
            'reduction="none"'
        )


def _each(criterion: Criterion, logits: Tensor, several: tuple[Tensor, ...]) -> list[Tensor]:
    first = criterion(logits, several[0])
    others = (first if one is several[0] else criterion(logits, one) for one in several[1:])
    return [first, *others]


def one_hot(labels: Tensor, num_classes: int, dtype: torch.dtype) -> Tensor:
    """Return class labels (B, ...) as soft labels (B, C, ...).

    Raises
    ------
    InputError
        For another dtype than int64, or a label outside the classes.
    """
    check_integers(labels)
    check_range(labels, num_classes)
    return F.one_hot(labels, num_classes).movedim(-1, 1).to(dtype)


def _check_classes_fit(criterion: Criterion, logits: Tensor, labels: Tensor) -> None:
    """Refuse a criterion that compares the label of each example with the outputs of all.

    In a batch of one example, or of as many as there are classes, that is no error. So it is called
    with a few examples more: if it fails there, and has another value for the same labels one-hot,
    these are the ones that it needs.
    """
    size, classes = logits.shape[:2]
    if isinstance(criterion, CLASS_MODULES):
        return
    logits, labels = logits.detach(), labels.detach()
    count = size + 1 if size + 1 != classes else size + 2
    index = torch.arange(count, device=logits.device) % size
    error, soft = _fails(criterion, logits[index], labels[index]), _as_soft(logits, labels)
    if error is None or _fails(criterion, logits, soft):
        return
    with torch.no_grad():
        found, expected = criterion(logits, labels), criterion(logits, soft)
    if found.shape != expected.shape or not torch.allclose(found, expected, equal_nan=True):
        raise _refusal(criterion, logits, labels) from error


def _as_soft(logits: Tensor, labels: Tensor) -> Tensor:
    """Return one-hot labels without a check, for a trial."""
    classes = logits.shape[1]
    return F.one_hot(labels.long().clamp(0, classes - 1), classes).movedim(-1, 1).to(logits.dtype)


def _refusal(criterion: Criterion, logits: Tensor, labels: Tensor) -> InputError:
    return InputError(
        f"{name_of(criterion)} needs soft labels, but the labels are integer classes of shape "
        f"{tuple(labels.shape)} and the output has shape {tuple(logits.shape)}. Give it one-hot "
        f"labels: target.loss(output, lambda z, y: criterion(z, F.one_hot(y, {logits.shape[1]})"
        ".to(z)))"
    )


def _fails(criterion: Criterion, logits: Tensor, labels: Tensor) -> Exception | None:
    """Return the error that a criterion raises, if any."""
    with torch.no_grad():
        try:
            criterion(logits, labels)
        except ERRORS as error:
            return error
    return None
