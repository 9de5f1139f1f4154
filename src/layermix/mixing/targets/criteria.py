"""Find out if a user's criterion is a cross-entropy, how it reduces, and which labels it needs.

A subclass of a torch criterion that overrides `forward` is treated as a custom criterion.
"""

import copy
import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from layermix.errors import InputError, brief
from layermix.mixing.targets.cross_entropy import CrossEntropy

Criterion = Callable[[Tensor, Tensor], Tensor]  # (output, labels) to losses

CLASS_MODULES = (nn.CrossEntropyLoss, nn.MultiMarginLoss, nn.NLLLoss)
_SOFT_MODULES = (
    nn.BCELoss, nn.BCEWithLogitsLoss, nn.HuberLoss, nn.KLDivLoss, nn.L1Loss, nn.MSELoss,
    nn.MultiLabelSoftMarginLoss, nn.SmoothL1Loss,
)  # fmt: skip
_ELEMENTWISE_MODULES = (
    *_SOFT_MODULES, nn.HingeEmbeddingLoss, nn.PoissonNLLLoss, nn.SoftMarginLoss,
)  # fmt: skip
_FUNCTION_MODULES = ("torch.nn.functional", "torchvision.ops.focal_loss")
_SOFT_FUNCTIONS = (
    "binary_cross_entropy", "binary_cross_entropy_with_logits", "huber_loss", "kl_div", "l1_loss",
    "mse_loss", "multilabel_soft_margin_loss", "sigmoid_focal_loss", "smooth_l1_loss",
)  # fmt: skip
_ELEMENTWISE_FUNCTIONS = (
    *_SOFT_FUNCTIONS, "hinge_embedding_loss", "poisson_nll_loss", "soft_margin_loss",
)  # fmt: skip
_SOFT_TIMM = (
    "AsymmetricLossMultiLabel", "DistributionBalancedLoss", "PolyBinaryCrossEntropy",
    "SoftTargetCrossEntropy", "TwoWayLoss", "ZlprLoss",
)  # fmt: skip


def loss_of(
    criterion: Criterion | None,
    logits: Tensor,
    weight: Tensor | None,
    label_smoothing: float,
    ignore_index: int,
) -> CrossEntropy | Criterion:
    """Check a criterion; return the equal `CrossEntropy` if there is one, else the criterion."""
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
    if isinstance(criterion, type):
        raise InputError(f"the criterion is the class {criterion.__name__}: pass an instance of it")
    if not callable(criterion):
        raise InputError(f"the criterion is {brief(criterion)}, but must be a function or module")
    return _in_parts(criterion, logits) or criterion


def _in_parts(criterion: object, logits: Tensor) -> CrossEntropy | None:
    """Return the `CrossEntropy` that is equal to a criterion of torch or timm, or None."""
    if _of_timm(criterion):
        return _timm_in_parts(criterion, logits)
    if getattr(criterion, "reduction", None) != "mean":
        return None
    if isinstance(criterion, nn.CrossEntropyLoss) and _acts_as(criterion, nn.CrossEntropyLoss):
        return CrossEntropy(criterion.weight, criterion.label_smoothing, criterion.ignore_index)
    if isinstance(criterion, nn.NLLLoss) and _acts_as(criterion, nn.NLLLoss):
        return CrossEntropy(criterion.weight, 0.0, criterion.ignore_index, of_logs=True)
    return None


def _timm_in_parts(criterion: object, logits: Tensor) -> CrossEntropy | None:
    """Return the `CrossEntropy` that is equal to a criterion of timm, or None.

    Raises an `InputError` for an output with positions, because timm expects the classes in the
    last dimension, and for `JsdCrossEntropy`.
    """
    name = name_of(criterion)
    if name == "JsdCrossEntropy":
        raise InputError(
            "JsdCrossEntropy compares the outputs of several copies of each example, but a mixed "
            "batch has no copies: use the default loss, or train without mixing"
        )
    if name not in ("SoftTargetCrossEntropy", "LabelSmoothingCrossEntropy"):
        return None
    smoothing = getattr(criterion, "smoothing", 0.0)
    if logits.ndim != 2:
        raise InputError(
            f"{name} expects the classes in the last dimension, but the output of shape "
            f"{tuple(logits.shape)} has them in the second: use the default loss, "
            f"target.loss(output, label_smoothing={smoothing})"
        )
    return CrossEntropy(label_smoothing=smoothing)


def unreduced(criterion: Criterion, each: bool) -> tuple[Criterion, Callable[[Tensor], Tensor]]:
    """Return the criterion, unreduced if `each` is True, and a function that averages its losses.

    Only the reduction of a module can be changed, not that of a function.
    """
    reduction = getattr(criterion, "reduction", None)
    if not each or reduction not in ("mean", "batchmean"):
        return criterion, torch.mean
    criterion = copy.copy(criterion)
    criterion.reduction = "none"  # pyright: ignore[reportFunctionMemberAccess]
    if reduction == "mean":
        return criterion, torch.mean
    return criterion, lambda losses: losses.sum() / len(losses)


def needs_soft(criterion: object) -> bool:
    """Return True if a criterion of torch, torchvision or timm needs soft labels.

    Raises an `InputError` for ``log_target=True``, because classes have no log-probabilities.
    """
    if getattr(criterion, "log_target", False):
        raise InputError(
            f"{name_of(criterion)} with log_target=True needs log-probabilities, but the labels "
            "are integer classes, and log(0) is infinite: leave out log_target"
        )
    if _of_timm(criterion):
        return type(criterion).__name__ in _SOFT_TIMM
    return _among(criterion, _SOFT_MODULES, _SOFT_FUNCTIONS)


def is_elementwise(criterion: object) -> bool:
    """Return True if a criterion of torch compares each number of the output with one label."""
    return _among(criterion, _ELEMENTWISE_MODULES, _ELEMENTWISE_FUNCTIONS)


def name_of(criterion: Any) -> str:
    """Return the name of a criterion for messages: of a function or of a class."""
    return getattr(_inner(criterion), "__name__", type(criterion).__name__)


def _among(
    criterion: object, modules: tuple[type[nn.Module], ...], functions: tuple[str, ...]
) -> bool:
    if isinstance(criterion, nn.Module):
        return any(isinstance(criterion, base) and _acts_as(criterion, base) for base in modules)
    inner = _inner(criterion)
    module, name = getattr(inner, "__module__", ""), getattr(inner, "__name__", "")
    return module in _FUNCTION_MODULES and name in functions


def _of_timm(criterion: object) -> bool:
    # Dynamo of torch 2.11 cannot read the module of a function's type.
    return isinstance(criterion, nn.Module) and type(criterion).__module__.startswith("timm.loss.")


def _inner(criterion: Any) -> Any:
    return criterion.func if isinstance(criterion, functools.partial) else criterion


def _acts_as(criterion: nn.Module, base: type[nn.Module]) -> bool:
    """Return True if a criterion does not override the computation of its base class."""
    kind = type(criterion)
    return kind.forward is base.forward and kind.__call__ is base.__call__
