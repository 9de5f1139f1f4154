"""Compute the losses of a criterion, and check that it gets the kind of labels that it needs.

A criterion needs class labels, (B, ...) for an output (B, C, ...), or soft labels of the output's
shape. Most criteria raise an error for labels of the wrong kind. But if B = C or B = 1, they may
broadcast such labels. They may also broadcast labels (B,) and outputs (B, 1) to losses (B, B). A
dry run with more examples detects such criteria.

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

# The errors of criteria for labels of a wrong shape.
_ERRORS = (AssertionError, IndexError, RuntimeError, TypeError, ValueError)


def losses_of(criterion: Criterion, logits: Tensor, *several: Tensor) -> list[Tensor]:
    """Return the losses of a criterion, once for each label tensor in `several`.

    All label tensors have the same shape and dtype. Classes become one-hot labels for criteria of
    torch, torchvision and timm that need them. Raises an `InputError` if another criterion needs
    soft labels, or would broadcast labels and output.
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
    """Raise an `InputError` unless the criterion returned one loss for each example."""
    if losses.ndim == 0 or len(losses) != len(labels):
        found = f"losses of shape {tuple(losses.shape)}" if losses.ndim else "one mean"
        each = "position" if ratio.ndim > 1 else "example"
        kind = "ratio" if ratio.ndim else "weight"
        raise InputError(
            f"each {each} has its own {kind}, but the criterion returned {found} for "
            f'{len(labels)} examples: it must return one loss for each, as with reduction="none"'
        )


def check_compared(criterion: Criterion, labels: Tensor, output: Tensor) -> None:
    """Raise an `InputError` if a criterion would broadcast labels and output.

    Elementwise criteria of torch need equal shapes. Others get a dry run if not compiled.
    """
    if labels.shape == output.shape or _are_classes(labels, output):
        return
    try:
        together = torch.broadcast_shapes(labels.shape, output.shape)
    except RuntimeError:
        return  # the criterion raises its own error
    if is_elementwise(criterion):
        wrong = True
    elif torch.compiler.is_compiling():
        wrong = together.numel() > max(labels.numel(), output.numel())
    else:
        wrong = _broadcasts(criterion, labels, output)
    if not wrong:
        return
    kind = "floats" if labels.is_floating_point() else "integers"
    shape = ", ".join(map(str, output.shape))
    same = labels.numel() == output.numel()
    remedy = f"labels.view({shape})" if same else "the model must return one value for each label"
    raise InputError(
        f"the labels are {kind} of shape {tuple(labels.shape)}, but the output has shape "
        f"{tuple(output.shape)}, and {name_of(criterion)} would broadcast them: give both the same "
        f"shape, {remedy}"
    )


def _broadcasts(criterion: Criterion, labels: Tensor, output: Tensor) -> bool:
    """Return True if a criterion accepts more outputs than labels, or if torch warns of shapes."""
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
    """Raise an `InputError` if a criterion needs soft labels, and would broadcast class labels.

    Such a criterion fails with additional examples, and returns other losses for one-hot labels.
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
    """Return True if labels are integers (B, ...) and may be classes of an output (B, C, ...)."""
    if labels.is_floating_point() or output.ndim < 2 or output.shape[1] == 1:
        return False
    return labels.shape == (*output.shape[:1], *output.shape[2:])


def _one_hot(labels: Tensor, num_classes: int, dtype: torch.dtype) -> Tensor:
    """Check class labels (B, ...), and return them as soft labels (B, C, ...)."""
    check_integers(labels, num_classes)
    return F.one_hot(labels, num_classes).movedim(-1, 1).to(dtype)


def _as_soft(logits: Tensor, labels: Tensor) -> Tensor:
    """Return classes as one-hot labels for a dry run; clamp labels that are not valid classes."""
    classes = logits.shape[1]
    return _one_hot(labels.long().clamp(0, classes - 1), classes, logits.dtype)
