"""Labels of every kind as integer classes: integers as they are, class names in sorted order.

Shapes: N examples.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from layermix.errors import InputError

Labels = Tensor | np.ndarray | Sequence[int] | Sequence[str]


def encode_labels(labels: Mapping[str, Labels]) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Return the labels of all splits as classes, int64 (N,), and the names of the classes.

    Parameters
    ----------
    labels
        For each split its labels, (N,): integers from 0 on, or class names. Names are numbered in
        sorted order, over all splits; integers are named by their digits.

    Raises
    ------
    InputError
        For a split without labels, labels of another kind, or names in one split and integers in
        another.

    Examples
    --------
    >>> encode_labels({"train": ["dog", "cat", "dog"]})
    ({'train': tensor([1, 0, 1])}, ('cat', 'dog'))
    """
    arrays = {name: _array(values, name) for name, values in labels.items()}
    kinds = {array.dtype.kind in "iu" for array in arrays.values()}
    if len(kinds) > 1:
        raise InputError(
            f"the labels of the splits {list(arrays)} are integers in one and names in another: "
            "use one kind"
        )
    if True in kinds:
        count = 1 + max(int(array.max()) for array in arrays.values())
        encoded = {name: array.astype(np.int64) for name, array in arrays.items()}
        return _tensors(encoded), tuple(map(str, range(count)))
    classes = np.unique(np.concatenate(list(arrays.values())))
    found = {name: np.searchsorted(classes, array) for name, array in arrays.items()}
    return _tensors(found), tuple(map(str, classes))


def _array(labels: Labels, split: str) -> np.ndarray:
    """Return labels as integers or as strings, (N,)."""
    array = labels.cpu().numpy() if isinstance(labels, Tensor) else np.asarray(labels)
    if array.ndim != 1 or not array.size:
        raise InputError(
            f"the labels of split {split!r} have the shape {array.shape}, but must be (N,) with "
            "N >= 1: give one label for each image"
        )
    if array.dtype.kind == "O":
        other = [value for value in array if not isinstance(value, str)]
        if other:
            raise InputError(
                f"split {split!r} has the label {other[0]!r}, but labels must be integers or "
                "class names: give every image one of them"
            )
    if array.dtype.kind in "OUb":
        return array.astype(str)
    if array.dtype.kind not in "iu":
        raise InputError(
            f"split {split!r} has {array.dtype} labels, but labels must be integers or class "
            "names: convert them"
        )
    return array


def _tensors(arrays: dict[str, np.ndarray]) -> dict[str, Tensor]:
    return {name: torch.from_numpy(array.astype(np.int64)) for name, array in arrays.items()}
