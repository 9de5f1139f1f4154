"""The losses of a criterion, which needs class labels or soft labels and must get no others.

A criterion takes class labels, (B, ...) for an output (B, C, ...), or soft labels of the output's
shape. Given the wrong ones, most raise an error. Where the batch has as many examples as there are
classes, or one, they compare each label with every output instead, and no error shows it. Numbers
of shape (B,) and outputs of shape (B, 1) make losses of shape (B, B) in the same way; a function
that squeezes the output first is right. Such criteria are found by calling them with more examples.

Shapes: B examples, C classes, `...` positions.
"""

import warnings

import torch
import torch.nn.functional as F
from torch import Tensor

from layermix.errors import InputError
from layermix.mixing.targets.criteria import (
    CLASS_MODULES,
    Criterion,
    is_elementwise,
    name_of,
    needs_soft,
)
from layermix.mixing.targets.label_checks import check_integers

_ERRORS = (AssertionError, IndexError, RuntimeError, TypeError, ValueError)
"""The errors of a criterion for labels of another shape than it needs."""


def losses_of(criterion: Criterion, logits: Tensor, *several: Tensor) -> list[Tensor]:
    """Return the result of a criterion for each of several labels of the batch.

    Classes become one-hot labels for criteria of torch, torchvision and timm that need them.

    Parameters
    ----------
    criterion
        Any but cross-entropy in parts.
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
    classes = _are_classes(several[0], logits)
    if classes and needs_soft(criterion):
        several = tuple(_one_hot(labels, logits.shape[1], logits.dtype) for labels in several)
    elif classes and not torch.compiler.is_compiling():
        if logits.shape[0] in (1, logits.shape[1]):
            _check_classes_fit(criterion, logits, several[0])
        try:
            return _each(criterion, logits, several)
        except _ERRORS as error:
            if _error_of(criterion, logits, _as_soft(logits, several[0])):
                raise
            raise _needs_soft_labels(criterion, logits, several[0]) from error
    return _each(criterion, logits, several)


def _each(criterion: Criterion, logits: Tensor, several: tuple[Tensor, ...]) -> list[Tensor]:
    first = criterion(logits, several[0])
    others = (first if one is several[0] else criterion(logits, one) for one in several[1:])
    return [first, *others]


def check_losses(losses: Tensor, labels: Tensor, ratio: Tensor) -> None:
    """Raise an `InputError` unless there is a loss for each example that has a ratio or weight."""
    if losses.ndim == 0 or len(losses) != len(labels):
        found = f"losses of shape {tuple(losses.shape)}" if losses.ndim else "one mean"
        each = "position" if ratio.ndim > 1 else "example"
        what = "ratio" if ratio.ndim else "weight"
        raise InputError(
            f"each {each} has a {what} of its own, but the criterion returned {found} for "
            f"{len(labels)} examples: it must return one loss for each, as with "
            'reduction="none"'
        )


def check_compared(criterion: Criterion, labels: Tensor, output: Tensor) -> None:
    """Raise an `InputError` for a criterion that broadcasts labels and output.

    Elementwise criteria of torch need equal shapes. Others are called with one output more than
    labels, which is no error only where each label is compared with outputs of other examples. In
    a compiled graph they are refused by the shapes alone.
    """
    if labels.shape == output.shape or _are_classes(labels, output):
        return
    try:
        together = torch.broadcast_shapes(labels.shape, output.shape)
    except RuntimeError:
        return  # the criterion refuses them itself
    if is_elementwise(criterion):
        wrong = True
    elif torch.compiler.is_compiling():
        wrong = together.numel() > max(labels.numel(), output.numel())
    else:
        wrong = _broadcasts(criterion, labels, output)
    if not wrong:
        return
    what = "numbers" if labels.is_floating_point() else "integers"
    shape = ", ".join(map(str, output.shape))
    same = labels.numel() == output.numel()
    remedy = f"labels.view({shape})" if same else "the model must return one for each label"
    raise InputError(
        f"the labels are {what} of shape {tuple(labels.shape)}, but the output has shape "
        f"{tuple(output.shape)}, and {name_of(criterion)} of both would broadcast them: give both "
        f"the same shape, {remedy}"
    )


def _broadcasts(criterion: Criterion, labels: Tensor, output: Tensor) -> bool:
    """Return True if a criterion takes more outputs than labels, or torch warns of their shapes."""
    labels, output, size = labels.detach(), output.detach(), len(labels)
    more = torch.arange(max(size, 2) + 1, device=output.device) % size
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if not _error_of(lambda z, y: criterion(z[more], y[more[:-1]]), output, labels):
            return True
        if labels.numel() == output.numel():
            return False
        warnings.filterwarnings("error", message="Using a target size")
        return isinstance(_error_of(criterion, output, labels), UserWarning)


def _check_classes_fit(criterion: Criterion, logits: Tensor, labels: Tensor) -> None:
    """Raise an `InputError` for a criterion that compares each label with the outputs of all.

    In a batch of one example, or of as many as there are classes, that is no error. So it is called
    with a few examples more: if it fails there, and has another value for the same labels one-hot,
    these are the ones that it needs.
    """
    if isinstance(criterion, CLASS_MODULES):
        return
    logits, labels, (size, classes) = logits.detach(), labels.detach(), logits.shape[:2]
    count = size + 1 if size + 1 != classes else size + 2
    index, soft = torch.arange(count, device=logits.device) % size, _as_soft(logits, labels)
    error = _error_of(criterion, logits[index], labels[index])
    if error is None or _error_of(criterion, logits, soft):
        return
    with torch.no_grad():
        found, expected = criterion(logits, labels), criterion(logits, soft)
    if found.shape != expected.shape or not torch.allclose(found, expected, equal_nan=True):
        raise _needs_soft_labels(criterion, logits, labels) from error


def _error_of(criterion: Criterion, logits: Tensor, labels: Tensor) -> Exception | None:
    """Return the error that a criterion raises, if any."""
    with torch.no_grad():
        try:
            criterion(logits, labels)
        except (*_ERRORS, UserWarning) as error:
            return error
    return None


def _needs_soft_labels(criterion: Criterion, logits: Tensor, labels: Tensor) -> InputError:
    return InputError(
        f"{name_of(criterion)} needs soft labels, but the labels are integer classes of shape "
        f"{tuple(labels.shape)} and the output has shape {tuple(logits.shape)}. Give it one-hot "
        f"labels: target.loss(output, lambda z, y: criterion(z, F.one_hot(y, {logits.shape[1]})"
        ".to(z)))"
    )


def _are_classes(labels: Tensor, output: Tensor) -> bool:
    """Return True for integers (B, ...) that may be classes of an output (B, C, ...)."""
    if labels.is_floating_point() or output.ndim < 2 or output.shape[1] == 1:
        return False
    return labels.shape == (*output.shape[:1], *output.shape[2:])


def _one_hot(labels: Tensor, num_classes: int, dtype: torch.dtype) -> Tensor:
    """Return class labels (B, ...) as soft labels (B, C, ...), checked."""
    check_integers(labels, num_classes)
    return F.one_hot(labels, num_classes).movedim(-1, 1).to(dtype)


def _as_soft(logits: Tensor, labels: Tensor) -> Tensor:
    """Return one-hot labels for a trial, where those outside the classes are no error."""
    classes = logits.shape[1]
    return _one_hot(labels.long().clamp(0, classes - 1), classes, logits.dtype)
