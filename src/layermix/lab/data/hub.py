"""Any image data set of the Hugging Face hub's layout, read by `datasets`.

A hub id, a folder of parquet files, or a folder of images with one sub-folder for each class.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from layermix.errors import InputError, unknown
from layermix.lab.data.dataset import Images, Split
from layermix.lab.data.decode import decode

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
    image_column = image_column or _image_column(first.features)
    label_column = label_column or label_column_of(first.features)
    for column in (image_column, label_column):
        if column not in first.features:
            raise unknown("column", column, first.features)
    images = decode(tables, image_column, image_size)
    splits = {
        name: Split(images[name], labels_of(table, name, label_column))
        for name, table in tables.items()
    }
    labels = [split.labels for split in splits.values()]
    return Images(splits, classes_of(first.features[label_column], labels))


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
        tables = datasets.load_dataset(source)
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


def _image_column(features: Any) -> str:
    found = [name for name, kind in features.items() if type(kind).__name__ == "Image"]
    named = [name for name in _IMAGE_NAMES if name in features]
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


def classes_of(kind: Any, labels: list[Tensor]) -> tuple[str, ...]:
    """Return the names of the classes, numbers where a column has none."""
    names = getattr(kind, "names", None)
    if names:
        return tuple(names)
    highest = max(int(each.max()) for each in labels)
    return tuple(str(label) for label in range(highest + 1))


def labels_of(table: Any, split: str, column: str) -> Tensor:
    """Return the labels of a split, int64 (N,)."""
    labels = np.asarray(table[column][:])
    if labels.dtype.kind not in "iu":
        raise InputError(
            f"column {column!r} of split {split!r} holds {labels.dtype} values, but labels must "
            "be integer classes: name another with --label-column"
        )
    return torch.from_numpy(labels.astype(np.int64))
