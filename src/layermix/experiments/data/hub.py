"""Any image data set of the Hugging Face hub's layout, read by `datasets`.

A hub id, a folder of parquet files, or a folder of images with one sub-folder for each class.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from layermix.errors import InputError, unknown
from layermix.experiments.data.dataset import Images, Split
from layermix.experiments.data.decode import decode
from layermix.experiments.data.labels import encode_labels

_IMAGE_NAMES = ("img", "image")
_LABEL_NAMES = ("label", "labels", "fine_label")


def hub(
    source: str,
    image_column: str | None = None,
    label_column: str | None = None,
    image_size: int | None = None,
) -> Images:
    """Load and decode a data set.

    Parameters
    ----------
    source
        Hub id such as ``uoft-cs/cifar10``, or a local folder.
    image_column, label_column
        Names of the columns; found by type and name when left out.
    image_size
        Resize every image to this height and width, in pixels.

    Raises
    ------
    InputError
        For a source or column that does not exist, images of different sizes, or pixels whose
        range cannot be told.
    RunError
        For an image that cannot be read.
    """
    tables = load_tables(source)
    first = tables["train"] if "train" in tables else next(iter(tables.values()))
    image_column = image_column or _image_column(first.features, source)
    label_column = label_column or label_column_of(first.features)
    for column in (image_column, label_column):
        if column not in first.features:
            raise unknown("column", column, first.features)
    images = decode(tables, image_column, image_size)
    labels, classes = labels_of(tables, label_column)
    return Images({name: Split(images[name], labels[name]) for name in tables}, classes)


def load_tables(source: str) -> dict[str, Any]:
    """Return the tables of a data set's splits, by name."""
    import datasets
    import huggingface_hub

    huggingface_hub.utils.logging.set_verbosity_error()
    datasets.utils.logging.set_verbosity_error()
    datasets.utils.logging.disable_progress_bar()
    folder = Path(source)
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{source} is a file: name the folder that holds the data set")
    if not folder.exists() and (folder.is_absolute() or source.startswith((".", "~"))):
        raise _cannot_load(source, "there is no such folder")
    try:
        # A folder's full path, for "text" or "csv" alone would name a reader of datasets.
        tables = datasets.load_dataset(str(folder.resolve()) if folder.is_dir() else source)
    except Exception as error:  # datasets raises a dozen kinds
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise _cannot_load(source, lines[0].rstrip(" .:")) from error
    return {str(name): table for name, table in tables.items()}


def _cannot_load(source: str, reason: str) -> InputError:
    return InputError(
        f"cannot load the data set {source!r}: {reason}. Give 'digits', the id of a hub data set, "
        "a folder of parquet files, or a folder of images with a sub-folder for each class"
    )


def holds_images(source: str) -> bool:
    """Tell whether a data set has a column of images."""
    features = next(iter(load_tables(source).values())).features
    kinds = [type(kind).__name__ for kind in features.values()]
    return "Image" in kinds or any(name in features for name in _IMAGE_NAMES)


def _image_column(features: Any, source: str) -> str:
    found = [name for name, kind in features.items() if type(kind).__name__ == "Image"]
    named = [name for name in _IMAGE_NAMES if name in features]
    if not found and not named:
        raise InputError(
            f"studies train on images so far, but none of the columns {list(features)} of "
            f"{source!r} is known to hold images. If one does, name it with --image-column; "
            "texts are for `layermix profile`"
        )
    return _only(found or named, features, "image")


def label_column_of(features: Any) -> str:
    """Return the column of the labels, by name or by type."""
    named = [name for name in _LABEL_NAMES if name in features]
    found = [name for name, kind in features.items() if type(kind).__name__ == "ClassLabel"]
    return _only(named[:1] or found, features, "label")


def _only(found: list[str], features: Any, what: str) -> str:
    if len(found) == 1:
        return found[0]
    raise InputError(
        f"cannot tell which of the columns {list(features)} is the {what}: "
        f"name it with --{what}-column"
    )


def labels_of(tables: Mapping[str, Any], column: str) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Return the labels of all splits, int64 (N,) each, and the names of the classes.

    Class names in place of integers are encoded in sorted order (see `encode_labels`).

    Parameters
    ----------
    tables
        Tables of `datasets`, by split.
    column
        Name of the column of labels.

    Raises
    ------
    InputError
        For labels that are neither integers nor names, or are missing.
    """
    values = {name: np.asarray(table[column][:]) for name, table in tables.items()}
    try:
        labels, classes = encode_labels(values)
    except InputError as error:
        raise InputError(
            f"column {column!r}: {error}, or name another with --label-column"
        ) from error
    named = next(iter(tables.values())).features[column]
    return labels, tuple(getattr(named, "names", None) or classes)
