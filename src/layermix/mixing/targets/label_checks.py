"""Checks of labels that all targets share.

Values are read only where that is free: on an accelerator it would wait for the device.

Shapes: B examples, C classes, `...` positions.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from layermix.errors import InputError
from layermix.mixing.targets.cross_entropy import CrossEntropy
from layermix.mixing.tensors import is_traced


def describe(labels: Tensor) -> str:
    """Return dtype and shape in words."""
    return f"{labels.dtype} of shape {tuple(labels.shape)}"


def check_classes(labels: Tensor, logits: Tensor, entropy: CrossEntropy) -> bool:
    """Return True if any label may be ignored; raise an error unless they are integer classes.

    Values are read only if that is free.

    Raises
    ------
    InputError
        For labels of another shape or dtype than the logits need, or outside the classes.
    """
    shape, num_classes = (logits.shape[0], *logits.shape[2:]), logits.shape[1]
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
        f"{_shape(shape)}, but the labels are {describe(labels)}{_remedy(labels, shape)}, or pass "
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
            "soft labels are made of integer classes (int64), but the labels are "
            f"{describe(labels)}: convert them with .long()"
        )


def check_range(labels: Tensor, num_classes: int, ignore: int | None = None) -> bool:
    """Refuse labels outside the classes but the ignored one, if any.

    Values are looked at only where that is free. Returns whether any may be ignored.

    Raises
    ------
    InputError
        For a label outside the classes.
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


def one_column(labels: Tensor, shape: Sequence[int]) -> InputError:
    """Return the error for labels of an output without classes, whose cross-entropy is zero."""
    what = "floats" if labels.is_floating_point() else "integers"
    return InputError(
        f"the labels are {what} of shape {tuple(labels.shape)} and the output has shape "
        f"{tuple(shape)}, of one column, whose cross-entropy is always zero. For yes and no make "
        "the labels floats of that shape and give torch.nn.BCEWithLogitsLoss(), for numbers "
        "torch.nn.MSELoss()"
    )


def check_soft(labels: Tensor) -> None:
    """Refuse float labels that are no weights of classes.

    Raises
    ------
    InputError
        For a negative label.
    """
    if labels.device.type == "cpu" and not is_traced() and labels.numel() and labels.min() < 0:
        raise InputError(
            f"accuracy needs soft labels of 0 or more, but one of the labels is "
            f"{float(labels.min()):g}: numbers to predict have no accuracy"
        )


def check_weights(weight: Tensor, labels: Tensor) -> None:
    """Refuse what are no weights of examples, (B,), or of the labels' positions.

    Raises
    ------
    InputError
        For something else than a tensor, or another shape.
    """
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
