"""Tables of numeric and categorical columns, encoded as one vector of features for each row.

A numeric column is standardized; a missing number becomes the mean, and another feature is 1 there.
A categorical column becomes a feature for each category (one-hot), including one for missing values
and one for rare categories. A category without training examples has no feature that is 1. A test
split has no influence on the features.

Shapes: N rows, F columns, D features.
"""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from layermix.errors import InputError, unknown
from layermix.lab.data.config import DataConfig
from layermix.lab.data.modalities.leaks import require_no_labels, require_no_row_numbers
from layermix.lab.data.modality import Modality, Transform, shape_text
from layermix.lab.data.table_columns import features_of, label_column

_MAX_CATEGORIES = 50  # further ones share a feature
_MISSING, _OTHER = "(missing)", "(other)"
_MARKS = ("", "?", "NA", "N/A", "NaN", "nan", "null", "None")  # of missing values
_ABSENT = 10**6  # index of a category that has no feature
_CLIP = 10.0  # standard deviations
_SPARSE = 0.5  # a column of texts with a larger share of different values has no categories


@dataclass(frozen=True)
class TableColumn:
    """A column of a table: its name, and its categories, or none if it is numeric."""

    name: str
    categories: tuple[str, ...] = ()
    missing: bool = False  # True for a numeric column with missing values


@dataclass(frozen=True)
class TableInputs(Modality):
    """Rows of a table, float64 (N, F): numbers (NaN if missing), and indices of categories.

    After encoding they are features, float32 (N, D).
    """

    columns: tuple[TableColumn, ...]

    name: ClassVar[str] = "table"
    noun: ClassVar[str] = "rows"
    default_model: ClassVar[str] = "table-resnet"

    def __post_init__(self) -> None:
        columns = (c if isinstance(c, TableColumn) else _column_from(c) for c in self.columns)
        object.__setattr__(self, "columns", tuple(columns))

    def problem(self, inputs: Tensor) -> str | None:
        """Return the reason why inputs cannot be stored, or None."""
        if inputs.dtype != torch.float64 or inputs.ndim != 2:
            return f"tables must be float64 of shape (N, F), but are {shape_text(inputs)}"
        if inputs.isinf().any():
            column = int(inputs.isinf().any(0).nonzero()[0])
            return f"column {self.columns[column].name!r} has infinite values: remove these rows"
        return None

    def read_more(
        self, tables: Mapping[str, Any], config: DataConfig, shape: Sequence[int]
    ) -> dict[str, Tensor]:
        """Read other rows with the same columns; unknown categories are (other) or missing."""
        del config, shape
        names = [column.name for column in self.columns]
        found = {}
        for split, table in tables.items():
            if absent := set(names) - set(table.features):
                raise InputError(f"the split {split!r} has no column {sorted(absent)[0]!r}: add it")
            columns = [_values(column, _cells(table[column.name][:])) for column in self.columns]
            found[split] = torch.from_numpy(np.stack(columns, 1))
        return found

    def encoding(self, train: Tensor) -> Transform:
        """Return a function that encodes rows, (N, F), as features, float32 (N, D)."""
        encoders = [
            _one_hot(values, len(column.categories))
            if column.categories
            else _standardized(values, column.missing)
            for column, values in zip(self.columns, train.unbind(1), strict=True)
        ]

        def encode(rows: Tensor) -> Tensor:
            parts = zip(encoders, rows.unbind(1), strict=True)
            return torch.cat([encoder(values) for encoder, values in parts], 1).float()

        return encode


def _column_from(values: Mapping[str, Any]) -> TableColumn:
    return TableColumn(values["name"], tuple(values["categories"]), values["missing"])


def _one_hot(train: Tensor, count: int) -> Transform:
    seen = train.long().bincount(minlength=count + 1)[:count] > 0
    return lambda values: F.one_hot(values.long().clamp(max=count), count + 1)[:, :count] * seen


def _standardized(train: Tensor, missing: bool) -> Transform:
    known = train[~train.isnan()]
    std, mean = torch.std_mean(known) if len(known) > 1 else (torch.ones(()), torch.zeros(()))
    scale, learned = float(std) if float(std) > 0 else 1.0, len(known) < len(train)

    def standardize(values: Tensor) -> Tensor:
        numbers = ((values - float(mean)) / scale).clamp(-_CLIP, _CLIP)
        absent = values.isnan()
        features = [numbers.masked_fill(absent, 0.0)] + [absent * learned] * missing
        return torch.stack(features, 1)

    return standardize


def read_feature_table(
    tables: Mapping[str, Any], config: DataConfig
) -> tuple[dict[str, Tensor], TableInputs]:
    """Read the columns of each split; return them with their modality."""
    features, label = features_of(tables), label_column(tables, config.label_column)
    for name in config.categorical_columns:
        if name not in features:
            raise unknown("column", name, features)
    names = [name for name in features if name not in (label, *config.drop_columns)]
    sizes = [len(table) for table in tables.values()]
    is_test = np.repeat([name == "test" and len(tables) > 1 for name in tables], sizes)
    labels = np.concatenate([_cells(table[label][:]) for table in tables.values()])
    columns, values = [], []
    for name in names:
        found = np.concatenate([_cells(table[name][:]) for table in tables.values()])
        try:
            column, numbers = _read_column(
                name, found, name in config.categorical_columns, ~is_test
            )
            if not column.categories:
                require_no_row_numbers(np.split(numbers, np.cumsum(sizes)[:-1]), name)
            require_no_labels(numbers, labels, label)
        except InputError as error:
            dropped = shlex.join([*config.drop_columns, name])
            raise InputError(
                f"column {name!r} {error}: leave it out with --drop-columns {dropped}"
            ) from None
        columns.append(column)
        values.append(torch.from_numpy(numbers))
    parts = torch.stack(values, 1).split(sizes)
    return dict(zip(tables, parts, strict=True)), TableInputs(tuple(columns))


def _values(column: TableColumn, cells: np.ndarray) -> np.ndarray:
    """Return the values of a known column in other rows, float64 (N,)."""
    texts = [None if c is None or str(c).strip() in _MARKS else _text(c) for c in cells]
    if not column.categories:
        numbers = _numbers(np.array(texts, dtype=object))
        if numbers is None:
            raise InputError(f"column {column.name!r} has texts, but must have numbers")
        return numbers
    index = {name: k for k, name in enumerate(column.categories)}
    if (known := {t for t in texts if t is not None}) and not known & set(index):
        raise InputError(
            f"column {column.name!r} has {sorted(known)[0]!r} and no value of the study's data, "
            f"such as {column.categories[0]!r}: use the same names"
        )
    rest = index.get(_OTHER, index.get(_MISSING, _ABSENT))
    return np.array([index.get(_MISSING if t is None else t, rest) for t in texts], dtype=float)


def _cells(values: Any) -> np.ndarray:
    """Return the values of a column as objects, None where they are missing."""
    cells = np.asarray(values, dtype=object)
    return np.array([None if v is None or v != v else v for v in cells.tolist()], dtype=object)


def _text(cell: Any) -> str:
    """Return a category as text: whole numbers without a point, False as 0 and True as 1."""
    return f"{cell:.0f}" if not isinstance(cell, str) and cell % 1 == 0 else str(cell)


def _read_column(
    name: str, cells: np.ndarray, categorical: bool, counted: np.ndarray
) -> tuple[TableColumn, np.ndarray]:
    """Return a column and its values, float64 (N,); only `counted` rows determine the column.

    Raises an `InputError` with the reason why a column cannot be an input.
    """
    known = [cell for cell in cells.tolist() if cell is not None]
    if wrong := [cell for cell in known if not isinstance(cell, str | bool | int | float)]:
        kind = type(wrong[0]).__name__
        raise InputError(f"has values of type {kind}, but must have numbers or texts")
    if any(isinstance(cell, str) for cell in known):
        cells = np.array([None if str(c).strip() in _MARKS else c for c in cells], dtype=object)
        numbers = None if categorical else _numbers(cells)
        if numbers is None:
            return _categories(name, cells, counted)
    elif categorical or all(isinstance(cell, bool) for cell in known):
        return _categories(name, cells, counted)
    else:
        numbers = cells.astype(np.float64)
    return TableColumn(name, missing=bool(np.isnan(numbers[counted]).any())), numbers


def _numbers(cells: np.ndarray) -> np.ndarray | None:
    """Return texts as numbers, or None if one is no number."""
    try:
        return np.array([np.nan if c is None else float(c) for c in cells], dtype=np.float64)
    except ValueError:
        return None


def _categories(
    name: str, cells: np.ndarray, counted: np.ndarray
) -> tuple[TableColumn, np.ndarray]:
    texts = np.array([_MISSING if cell is None else _text(cell) for cell in cells])
    values, counts = np.unique(texts[counted], return_counts=True)
    if len(values) > _MAX_CATEGORIES and len(values) > _SPARSE * len(texts):
        raise InputError(
            f"has {len(values):,} different texts in {len(texts):,} rows, so that it has no "
            "categories, and texts are read with --text-column"
        )
    if len(values) > _MAX_CATEGORIES:
        kept = np.sort(np.argsort(-counts, kind="stable")[:_MAX_CATEGORIES])
        values = np.append(values[kept], _OTHER)
    index = {value: k for k, value in enumerate(values.tolist())}
    rest = index.get(_OTHER, _ABSENT)
    column = TableColumn(name, tuple(map(str, values)))
    return column, np.array([index.get(text, rest) for text in texts], dtype=np.float64)
