"""Find the columns of inputs and labels in tables of `datasets`, by type and name."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor

from layermix.errors import InputError, unknown
from layermix.lab.data.config import DataConfig
from layermix.lab.data.dataset import encode_labels

LABEL_NAMES = ("label", "labels", "fine_label", "target", "class")
INPUT_NAMES = {
    "image": ("img", "image"),
    "text": ("text", "sentence", "content"),
    "audio": ("audio", "sound", "speech"),
}


def features_of(tables: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the columns of a data set, with their types."""
    return (tables["train"] if "train" in tables else next(iter(tables.values()))).features


def without_columns(tables: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Return the tables without those of the named columns that they have."""
    unused = [name for name in dict.fromkeys(names) if name in features_of(tables)]
    return {split: table.remove_columns(unused) for split, table in tables.items()}


def columns_of_type(features: Mapping[str, Any], kind: str) -> list[str]:
    """Return the columns whose feature type is `kind`, such as ``"Image"``."""
    return [name for name, feature in features.items() if type(feature).__name__ == kind]


def named_columns(features: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    """Return those of the names that are columns."""
    return [name for name in names if name in features]


def is_text(feature: Any) -> bool:
    """Return True if a column has strings."""
    return getattr(feature, "dtype", "") in ("string", "large_string", "string_view")


def encoded_rows(table: Any, column: str) -> Iterator[Any]:
    """Yield the values of a column, without decoding its images or sounds."""
    table = table.select_columns([column])
    kind = type(table.features[column])
    if kind.__name__ in ("Audio", "Image"):
        table = table.cast_column(column, kind(decode=False))
    return (row[column] for row in table)


def column_of(
    features: Mapping[str, Any], given: str | None, found: Sequence[str], content: str
) -> str:
    """Return the column that the user has `given`, or else the only candidate in `found`."""
    if given is not None and given not in features:
        raise unknown("column", given, features)
    if given is None and len(found) != 1:
        among = list(found or features)
        raise InputError(
            f"it is not clear which of the columns {among} is the {content}: name it with "
            f"--{content}-column"
        )
    return given or found[0]


def input_column(features: Mapping[str, Any], kind: str, config: DataConfig) -> str:
    """Return the column of the images, texts or sounds, by the name of their modality."""
    content = "audio" if kind == "sound" else kind
    named = named_columns(features, INPUT_NAMES[content])
    if kind == "text":
        strings = [name for name, feature in features.items() if is_text(feature)]
        found = [name for name in named if name in strings][:1] or strings
    else:
        found = columns_of_type(features, content.title()) or named
    return column_of(features, getattr(config, f"{content}_column"), found, content)


def label_column(tables: Mapping[str, Any], given: str | None) -> str:
    """Return the column of the labels."""
    features = features_of(tables)
    classes = columns_of_type(features, "ClassLabel")
    found = named_columns(features, LABEL_NAMES) or classes
    if len(found) > 1:
        found = [name for name in found if name in classes] or found
    if given is None and not found and columns_of_type(features, "Image") == [*features]:
        raise InputError(
            "the images have no labels: put those of each class in a subfolder, all at the same "
            "depth, with two or more classes"
        )
    return column_of(features, given, found, "label")


def read_labels(
    tables: Mapping[str, Any], column: str
) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Return the labels of each split as integer classes, int64 (N,), and the class names."""
    names = getattr(features_of(tables)[column], "names", None)
    try:
        return encode_labels({n: t[column][:] for n, t in tables.items()}, names)
    except InputError as error:
        raise InputError(
            f"column {column!r}: {error}, or use another column with --label-column"
        ) from error
