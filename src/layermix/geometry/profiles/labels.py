"""Inputs and labels of a batch, in the forms in which data sets hand them out.

Shapes: B batch.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from layermix.errors import InputError
from layermix.hooks.batch import Batch, batch_size

_KEYS = ("labels", "label", "targets", "target", "y")
_REMEDY = (
    ": put several inputs together, as in [((a, b), labels) for a, b, labels in loader], or give "
    "them the names by which the model takes them"
)


def split(batch: Any, *, check: bool = True) -> tuple[Batch, Any]:
    """Return inputs and labels of a batch.

    Parameters
    ----------
    batch
        A pair (x, labels), where x may be a tuple of several inputs, or a mapping with the labels
        under one of their usual names; numpy arrays become tensors.
    check
        Whether labels must be classes (B,), which they are made; else they come as they are.

    Raises
    ------
    InputError
        For anything else.
    """
    if isinstance(batch, Mapping):
        key = next((key for key in _KEYS if key in batch), None)
        if key is None:
            raise InputError(
                f"there are no labels among the entries {sorted(batch)}: call them 'labels'"
            )
        x: Any = {name: _tensor(value) for name, value in batch.items() if name != key}
        labels = batch[key]
    elif isinstance(batch, tuple | list) and len(batch) == 2:
        x, labels = _tensor(batch[0]), batch[1]
    else:
        raise InputError(
            f"a batch is {_described(batch)}, but must be a pair (x, labels) or a mapping with "
            "'labels'" + _REMEDY * isinstance(batch, tuple | list)
        )
    return (x, _classes(x, labels)) if check else (x, labels)


def as_labels(labels: Any) -> Tensor:
    """Return labels as int64, where they are whole numbers; shape () or (B,), from (B, 1) too."""
    try:
        found = torch.as_tensor(labels)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(
            f"the labels are a {type(labels).__name__}, but must be integer classes"
        ) from error
    if found.ndim == 2 and found.shape[1] == 1:
        found = found[:, 0]
    whole = found.long() if not found.is_complex() else found
    if not torch.equal(whole.to(found.dtype), found):
        raise InputError(f"the labels are {found.dtype} with fractions, but must be whole classes")
    return whole


def _classes(x: Any, labels: Any) -> Tensor:
    if not isinstance(x, Tensor | Mapping | tuple):
        raise InputError(
            f"the inputs are {_described(x)}, but must be a tensor (N, ...), a tuple of such, or a "
            "mapping of named tensors"
        )
    found, size = as_labels(labels), batch_size(x)
    if found.ndim != 1 or len(found) != size:
        raise InputError(
            f"{size} examples need integer classes of shape ({size},), but these labels are "
            f"{found.dtype} {tuple(found.shape)}"
        )
    return found


def are_several(value: Any) -> bool:
    """Tell several inputs, as a tuple or list of arrays, from one input that is made of numbers."""
    if not isinstance(value, tuple | list) or not value:
        return False
    return all(isinstance(each, Tensor | np.ndarray) for each in value) and any(map(np.ndim, value))


def _tensor(value: Any) -> Any:
    """Return arrays as tensors, several inputs as a tuple, and all else as it is."""
    if are_several(value):
        return tuple(map(_tensor, value))
    return torch.from_numpy(value) if isinstance(value, np.ndarray) else value


def _described(value: Any) -> str:
    """Return in words what was found: of a tuple or list how much, and which shapes."""
    kind = f"a {type(value).__name__}"
    if not isinstance(value, tuple | list):
        return kind
    shapes = [str(tuple(each.shape)) for each in value if hasattr(each, "shape")]
    return f"{kind} of {len(value)}" + f" with shapes {', '.join(shapes)}" * bool(shapes)
