"""Checks for columns of a table that reveal the class: row numbers, and copies of the labels.

The errors have the reason only, because the caller names the column.
"""

import re
from collections.abc import Sequence

import numpy as np

from layermix.errors import InputError

_INDEX_NAMES = re.compile(r"unnamed: \d+|__index_level_\d+__|index|idx|row|id", re.IGNORECASE)
_LEAST_ROWS = 20  # in smaller tables, only row numbers in increasing order are found


def require_no_row_numbers(parts: Sequence[np.ndarray], name: str) -> None:
    """Raise an `InputError` if the numbers of a column, by split, are row numbers."""
    whole = all((part == np.round(part)).all() and len(np.unique(part)) > 2 for part in parts)
    steps = [np.diff(part if len(part) < _LEAST_ROWS else np.sort(part)) for part in parts]
    consecutive = whole and all((step == 1).all() for step in steps)
    distinct = all(len(np.unique(part)) == len(part) for part in parts)
    if consecutive or (whole and distinct and _INDEX_NAMES.fullmatch(name)):
        first, last = min(p.min() for p in parts), max(p.max() for p in parts)
        raise InputError(f"numbers the rows from {first:g} to {last:g}")


def require_no_labels(values: np.ndarray, labels: np.ndarray, label: str) -> None:
    """Raise an `InputError` if a column has the labels under other names."""
    texts = np.array([str(each) for each in labels])
    classes = len(np.unique(texts))
    pairs = {(value, text) for value, text in zip(values.tolist(), texts, strict=True)}
    if len(values) >= _LEAST_ROWS and 1 < classes == len(pairs) == len(set(values.tolist())):
        raise InputError(f"has another value for each value of {label!r}, and reveals the class")
