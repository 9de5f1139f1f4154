"""Criteria of the user: which labels they take, and their losses before these are averaged.

A criterion takes class labels, (B, ...) for an output (B, C, ...), or soft labels of the output's
shape. Given the wrong ones, most raise an error. Where the batch has as many examples as there are
classes, or one, they compare each label with every output instead, and no error shows it.

Shapes: B examples, C classes, `...` positions.
"""

import copy
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from layermix.errors import InputError
from layermix.mixing.targets.entropy import CrossEntropy, LogLikelihood
from layermix.mixing.targets.labels import check_integers, check_range, check_same_shape

Criterion = Callable[[Tensor, Tensor], Tensor]
"""A loss of (output, labels)."""

_SOFT_MODULES = (
    nn.BCELoss, nn.BCEWithLogitsLoss, nn.HuberLoss, nn.KLDivLoss, nn.L1Loss, nn.MSELoss,
    nn.MultiLabelSoftMarginLoss, nn.SmoothL1Loss,
)  # fmt: skip
_CLASS_MODULES = (nn.CrossEntropyLoss, nn.MultiMarginLoss, nn.NLLLoss)
_SOFT_FUNCTIONS = {
    ("torch.nn.functional", "binary_cross_entropy"),
    ("torch.nn.functional", "binary_cross_entropy_with_logits"),
    ("torch.nn.functional", "huber_loss"),
    ("torch.nn.functional", "kl_div"),
    ("torch.nn.functional", "l1_loss"),
    ("torch.nn.functional", "mse_loss"),
    ("torch.nn.functional", "multilabel_soft_margin_loss"),
    ("torch.nn.functional", "smooth_l1_loss"),
    ("torchvision.ops.focal_loss", "sigmoid_focal_loss"),
}
_SOFT_TIMM = (
    "AsymmetricLossMultiLabel", "DistributionBalancedLoss", "PolyBinaryCrossEntropy",
    "SoftTargetCrossEntropy", "TwoWayLoss", "ZlprLoss",
)  # fmt: skip
_ERRORS = (IndexError, RuntimeError, TypeError, ValueError)


def in_parts(criterion: object, logits: Tensor) -> CrossEntropy | None:
    """Return cross-entropy or log-likelihood of torch or timm in parts; None for other criteria.

    A class derived from theirs with a `forward` of its own is another criterion.
    """
    if _of_timm(criterion) and logits.ndim == 2:
        if type(criterion).__name__ == "SoftTargetCrossEntropy":
            return CrossEntropy()
        if type(criterion).__name__ == "LabelSmoothingCrossEntropy":
            return CrossEntropy(label_smoothing=getattr(criterion, "smoothing", 0.0))
    if getattr(criterion, "reduction", None) != "mean":
        return None
    if isinstance(criterion, nn.CrossEntropyLoss) and _same(criterion, nn.CrossEntropyLoss):
        return CrossEntropy(criterion.weight, criterion.label_smoothing, criterion.ignore_index)
    if isinstance(criterion, nn.NLLLoss) and _same(criterion, nn.NLLLoss):
        return LogLikelihood(criterion.weight, 0.0, criterion.ignore_index)
    return None


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
    check_same_shape(several[0], logits)
    classes = _are_classes(logits, several[0])
    if classes and _needs_soft(criterion):
        several = tuple(one_hot(labels, logits.shape[1], logits.dtype) for labels in several)
    elif classes and not torch.compiler.is_compiling():
        if logits.shape[0] in (1, logits.shape[1]):
            _check_classes_fit(criterion, logits, several[0])
        try:
            return _each(criterion, logits, several)
        except _ERRORS as error:
            if _fails(criterion, logits, _as_soft(logits, several[0])):
                raise
            raise _refusal(criterion, logits, several[0]) from error
    return _each(criterion, logits, several)


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


def name_of(criterion: Any) -> str:
    """Return the name of a criterion for messages."""
    return getattr(_inner(criterion), "__name__", type(criterion).__name__)


def _are_classes(logits: Tensor, labels: Tensor) -> bool:
    if labels.is_floating_point() or logits.ndim < 2 or logits.shape[1] == 1:
        return False
    return labels.shape == (*logits.shape[:1], *logits.shape[2:])


def _needs_soft(criterion: Criterion) -> bool:
    """Return True for criteria of torch, torchvision and timm that are known to.

    Raises
    ------
    InputError
        For a divergence from logarithms, of which 0 has none.
    """
    if getattr(criterion, "log_target", False):
        raise InputError(
            f"{name_of(criterion)} with log_target=True needs log-probabilities, but the labels "
            "are integer classes, whose probability 0 has no logarithm: leave log_target out"
        )
    if isinstance(criterion, _SOFT_MODULES):
        return any(isinstance(criterion, base) and _same(criterion, base) for base in _SOFT_MODULES)
    if _of_timm(criterion):
        return type(criterion).__name__ in _SOFT_TIMM
    inner = _inner(criterion)
    return (getattr(inner, "__module__", ""), getattr(inner, "__name__", "")) in _SOFT_FUNCTIONS


def _check_classes_fit(criterion: Criterion, logits: Tensor, labels: Tensor) -> None:
    """Refuse a criterion that compares the label of each example with the outputs of all.

    In a batch of one example, or of as many as there are classes, that is no error. So it is called
    with a few examples more: if it fails there, and has another value for the same labels one-hot,
    these are the ones that it needs.
    """
    size, classes = logits.shape[:2]
    if isinstance(criterion, _CLASS_MODULES):
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
        except _ERRORS as error:
            return error
    return None


def _of_timm(criterion: object) -> bool:
    return type(criterion).__module__.startswith("timm.loss.")


def _inner(criterion: Any) -> Any:
    return criterion.func if isinstance(criterion, functools.partial) else criterion


def _same(criterion: nn.Module, base: type[nn.Module]) -> bool:
    """Return True if a criterion computes what its base does."""
    own = type(criterion)
    return own.forward is base.forward and own.__call__ is base.__call__
