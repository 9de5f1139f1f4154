"""Kinds of criteria: which labels those of torch, torchvision and timm need."""

import functools
from typing import Any

from torch import nn

from layermix.errors import InputError

_SOFT_MODULES = (
    nn.BCELoss, nn.BCEWithLogitsLoss, nn.HuberLoss, nn.KLDivLoss, nn.L1Loss, nn.MSELoss,
    nn.MultiLabelSoftMarginLoss, nn.SmoothL1Loss,
)  # fmt: skip
_ELEMENTWISE_MODULES = (
    *_SOFT_MODULES, nn.HingeEmbeddingLoss, nn.PoissonNLLLoss, nn.SoftMarginLoss,
)  # fmt: skip
CLASS_MODULES = (nn.CrossEntropyLoss, nn.MultiMarginLoss, nn.NLLLoss)
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
_ELEMENTWISE_FUNCTIONS = {
    *_SOFT_FUNCTIONS,
    ("torch.nn.functional", "hinge_embedding_loss"),
    ("torch.nn.functional", "poisson_nll_loss"),
    ("torch.nn.functional", "soft_margin_loss"),
}
_SOFT_TIMM = (
    "AsymmetricLossMultiLabel", "DistributionBalancedLoss", "PolyBinaryCrossEntropy",
    "SoftTargetCrossEntropy", "TwoWayLoss", "ZlprLoss",
)  # fmt: skip


def needs_soft(criterion: object) -> bool:
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
    if of_timm(criterion):
        return type(criterion).__name__ in _SOFT_TIMM
    return _among(criterion, _SOFT_MODULES, _SOFT_FUNCTIONS)


def is_elementwise(criterion: object) -> bool:
    """Return True for criteria of torch that compare each output with one number."""
    return _among(criterion, _ELEMENTWISE_MODULES, _ELEMENTWISE_FUNCTIONS)


def _among(
    criterion: object, modules: tuple[type[nn.Module], ...], functions: set[tuple[str, str]]
) -> bool:
    """Return True for a module of torch, unless it is derived, or a function."""
    if isinstance(criterion, nn.Module):
        return any(isinstance(criterion, base) and same(criterion, base) for base in modules)
    inner = _inner(criterion)
    return (getattr(inner, "__module__", ""), getattr(inner, "__name__", "")) in functions


def name_of(criterion: Any) -> str:
    """Return the name of a criterion for messages."""
    return getattr(_inner(criterion), "__name__", type(criterion).__name__)


def of_timm(criterion: object) -> bool:
    """Return True for a criterion of timm."""
    # Dynamo of torch 2.11 cannot read the module of a function's type.
    return isinstance(criterion, nn.Module) and type(criterion).__module__.startswith("timm.loss.")


def _inner(criterion: Any) -> Any:
    return criterion.func if isinstance(criterion, functools.partial) else criterion


def same(criterion: nn.Module, base: type[nn.Module]) -> bool:
    """Return True if a criterion computes what its base does."""
    own = type(criterion)
    return own.forward is base.forward and own.__call__ is base.__call__
