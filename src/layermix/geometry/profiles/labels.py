"""Inputs and labels of a batch, in the forms in which data sets hand them out.

Shapes: B batch.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from layermix.attach.batch import Batch, batch_size
from layermix.errors import InputError

_KEYS = ("labels", "label", "targets", "target", "y")


def split(batch: Any, *, check: bool = True) -> tuple[Batch, Any]:
    """Return inputs and labels of a batch.

    Parameters
    ----------
    batch
        A pair (x, labels), or a mapping with the labels under one of their usual names; numpy
        arrays become tensors.
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
            f"a batch is a {type(batch).__name__}, but must be a pair (x, labels) or a mapping "
            "with 'labels'"
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
    if not isinstance(x, Tensor | Mapping):
        raise InputError(
            f"the inputs are a {type(x).__name__}, but must be a tensor (N, ...) or a mapping of "
            "named tensors"
        )
    found, size = as_labels(labels), batch_size(x)
    if found.ndim != 1 or len(found) != size:
        raise InputError(
            f"{size} examples need integer classes of shape ({size},), but these labels are "
            f"{found.dtype} {tuple(found.shape)}"
        )
    return found


def _tensor(value: Any) -> Any:
    return torch.from_numpy(value) if isinstance(value, np.ndarray) else value
