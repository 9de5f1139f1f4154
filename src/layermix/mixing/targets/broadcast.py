"""Labels and outputs of other shapes: a criterion must not compare an example with all others.

Numbers of shape (B,) and outputs of shape (B, 1) make losses of shape (B, B), and no error shows
it. A function that squeezes the output first is right.

Shapes: B examples.
"""

import warnings
from collections.abc import Callable

import torch
from torch import Tensor

from layermix.errors import InputError
from layermix.mixing.targets.kinds import is_elementwise, name_of

Criterion = Callable[[Tensor, Tensor], Tensor]
"""A loss of (output, labels)."""

ERRORS = (AssertionError, IndexError, RuntimeError, TypeError, ValueError)
"""What a criterion raises for labels of another shape than it needs."""


def are_classes(labels: Tensor, output: Tensor) -> bool:
    """Return True for integers (B, ...) that may be classes of an output (B, C, ...)."""
    if labels.is_floating_point() or output.ndim < 2 or output.shape[1] == 1:
        return False
    return labels.shape == (*output.shape[:1], *output.shape[2:])


def check_compared(criterion: Criterion, labels: Tensor, output: Tensor) -> None:
    """Refuse a criterion that broadcasts labels and output.

    Elementwise criteria of torch need equal shapes. Others are called with one output more than
    labels, which is no error only where each label is compared with outputs of other examples. In
    a compiled graph they are refused by the shapes alone.

    Raises
    ------
    InputError
        For such a criterion.
    """
    if labels.shape == output.shape or are_classes(labels, output):
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
    if wrong:
        raise _refusal(criterion, labels, output)


def _broadcasts(criterion: Criterion, labels: Tensor, output: Tensor) -> bool:
    """Return True if a criterion takes more outputs than labels, or torch warns of their shapes."""
    size, (labels, output) = max(len(labels), 2), (labels.detach(), output.detach())
    of_labels, of_output = (
        torch.arange(count, device=output.device) % len(labels) for count in (size, size + 1)
    )
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            criterion(output[of_output], labels[of_labels])
        except ERRORS:
            if labels.numel() == output.numel():
                return False
        else:
            return True
        warnings.filterwarnings("error", message="Using a target size")
        try:
            criterion(output, labels)
        except UserWarning:
            return True
    return False


def _refusal(criterion: object, labels: Tensor, output: Tensor) -> InputError:
    what = "numbers" if labels.is_floating_point() else "integers"
    shape = ", ".join(map(str, output.shape))
    same = labels.numel() == output.numel()
    remedy = f"labels.view({shape})" if same else "the model must return one for each label"
    return InputError(
        f"the labels are {what} of shape {tuple(labels.shape)}, but the output has shape "
        f"{tuple(output.shape)}, and {name_of(criterion)} of both would broadcast them: give both "
        f"the same shape, {remedy}"
    )
