"""Read other data sets in the form of the data of a study: shifted data, or other classes."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from layermix.errors import InputError
from layermix.lab.data.config import DataConfig
from layermix.lab.data.dataset import Dataset, Split
from layermix.lab.data.hugging_face import load_tables
from layermix.lab.data.modalities import ImageInputs
from layermix.lab.data.sources import SOURCES
from layermix.lab.data.table_columns import (
    label_column,
    read_labels,
    without_columns,
)

_PARTS = ("test", "validation", "train")  # the first one that exists is read


def read_inputs(source: str, config: DataConfig, data: Dataset) -> Tensor:
    """Return the inputs of another data set, (N, ...), as the modality of the data stores them.

    The test split is read or, if there is none, the validation or the training split. `config` has
    the settings of the study's data.
    """
    if source in SOURCES:
        return _built_in(source, data)[0].inputs
    name, tables = _part(source)
    return _read(name, tables, source, config, data)


def read_split(source: str, config: DataConfig, data: Dataset) -> Split:
    """Return the inputs and labels of another data set, whose classes are those of the data.

    Classes are matched by name; another class raises an `InputError`.
    """
    if source in SOURCES:
        split, classes = _built_in(source, data)
        return Split(split.inputs, _in_classes(source, split.labels, classes, data))
    name, tables = _part(source)
    labels, classes = read_labels(tables, label_column(tables, config.label_column))
    found = _in_classes(source, labels[name], classes, data)
    return Split(_read(name, tables, source, config, data), found)


def _built_in(source: str, data: Dataset) -> tuple[Split, tuple[str, ...]]:
    """Return the test images of a built-in data set, fitted to the data, and the class names."""
    if not isinstance(data.modality, ImageInputs):
        raise InputError(f"{source} has images, but the data of the study do not")
    found = SOURCES[source](None)
    test = found.splits["test"]
    images = data.modality.fitted(test.inputs, data.train.inputs.shape[1:])
    return Split(images, test.labels), found.classes


def _in_classes(source: str, labels: Tensor, classes: Sequence[str], data: Dataset) -> Tensor:
    """Return labels as indices of the data's classes, matched by name."""
    if strangers := set(classes) - set(data.classes):
        raise InputError(
            f"{source} has the class {sorted(strangers)[0]!r}, which the data of the study lack: "
            f"its classes must be among {list(data.classes)}"
        )
    return torch.tensor([data.classes.index(each) for each in classes])[labels]


def _part(source: str) -> tuple[str, dict[str, Any]]:
    """Load the split that is read; return its name, and its table by this name."""
    tables = load_tables(source)
    name = next((part for part in _PARTS if part in tables), next(iter(tables)))
    return name, {name: tables[name]}


def _read(
    name: str, tables: Mapping[str, Any], source: str, config: DataConfig, data: Dataset
) -> Tensor:
    shape, unused = data.train.inputs.shape[1:], [*config.drop_columns]
    with suppress(InputError):  # other data need no labels
        unused.append(label_column(tables, config.label_column))
    others = without_columns(tables, unused)
    return data.modality.read_more(others, replace(config, data=source), shape)[name]
