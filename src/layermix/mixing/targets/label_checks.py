"""Checks of labels for all targets.

Values are read only on the CPU, because a read from an accelerator waits for the device.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from layermix.errors import InputError
from layermix.mixing.tensors import is_traced


def describe(labels: Tensor) -> str:
    """Return the dtype and the shape of labels as text."""
    return f"{labels.dtype} of shape {tuple(labels.shape)}"


def check_labels(labels: Tensor | Mapping[str, Tensor], batch: int) -> None:
    """Raise an `InputError` unless labels, or all labels of a mapping, are tensors (batch, ...)."""
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


def check_classes(labels: Tensor, logits: Tensor, loss: str, ignore: int) -> bool:
    """Check class labels for the loss called `loss`; return True if a label may be ignored.

    Raises an `InputError` unless labels are integer classes of the logits.
    """
    shape = (logits.shape[0], *logits.shape[2:])
    if labels.dtype == torch.int64 and labels.shape[1:] == shape[1:] and labels.ndim:
        if len(labels) == shape[0]:
            return check_range(labels, logits.shape[1], ignore)
        raise InputError(
            f"the output has {shape[0]} examples, but the labels have {len(labels)}: pass the "
            "output of the whole batch"
        )
    is_flat = len(shape) == 1
    remedy = f": give one class for each {'example' if is_flat else 'position'}"
    if labels.ndim == len(shape) + 1 and labels.shape[1] > 1:
        remedy = ": convert one-hot labels with .argmax(dim=1), or soft labels (B, C) to floats"
    elif labels.shape == shape:
        remedy = ": convert them with .long()"
    expected = f"({', '.join(['B', *map(str, shape[1:])])}{',' * is_flat})"
    raise InputError(
        f"{loss} needs integer class labels (int64) of shape {expected}, but the labels are "
        f"{describe(labels)}{remedy}, or pass another criterion"
    )


def check_integers(labels: Tensor, num_classes: int, ignore: int | None = None) -> None:
    """Raise an `InputError` unless labels are int64 classes from 0 to `num_classes` - 1."""
    if labels.dtype != torch.int64:
        raise InputError(
            "soft labels are made of integer classes (int64), but the labels are "
            f"{describe(labels)}: convert them with .long()"
        )
    check_range(labels, num_classes, ignore)


def check_range(labels: Tensor, num_classes: int, ignore: int | None = None) -> bool:
    """Check that labels are valid classes; return True if a label may be ignored.

    Raises an `InputError` if another label is outside the classes and can be read.
    """
    if labels.device.type != "cpu" or is_traced():
        return True
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


def check_soft(labels: Tensor) -> None:
    """Raise an `InputError` if a soft label is negative."""
    if labels.device.type == "cpu" and not is_traced() and labels.numel() and labels.min() < 0:
        raise InputError(
            f"accuracy needs soft labels >= 0, but the smallest label is "
            f"{float(labels.min()):g}: regression targets have no accuracy"
        )


def check_weights(weight: Tensor, labels: Tensor) -> None:
    """Raise an `InputError` unless each example or each position of the labels has a weight."""
    if not isinstance(weight, Tensor):
        raise InputError(
            f"sample_weight is a {type(weight).__name__}, but must be a tensor: "
            "torch.as_tensor(sample_weight)"
        )
    shapes = [tuple(labels.shape[:1]), tuple(labels.shape)]
    if labels.is_floating_point():
        shapes.insert(1, (*labels.shape[:1], *labels.shape[2:]))
    if tuple(weight.shape) not in shapes:
        allowed = " or ".join(map(str, dict.fromkeys(shapes)))
        raise InputError(
            f"sample_weight has shape {tuple(weight.shape)}, but must have one weight for each "
            f"example or position of the labels: {allowed}"
        )


def one_column(labels: Tensor, shape: Sequence[int]) -> InputError:
    """Return the error for an output with one column, whose cross-entropy is always zero."""
    kind = "floats" if labels.is_floating_point() else "integers"
    return InputError(
        f"the labels are {kind} of shape {tuple(labels.shape)} and the output has shape "
        f"{tuple(shape)}, but the cross-entropy of one column is always zero. Convert the labels "
        "to floats of that shape, and pass torch.nn.BCEWithLogitsLoss() for two classes or "
        "torch.nn.MSELoss() for regression"
    )
