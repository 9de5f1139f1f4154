"""Read other data sets in the form of the data of a study: shifted data, or other classes."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from layermix.errors import InputError
from layermix.lab.data.config import DataConfig
from layermix.lab.data.data_files import AbsentColumn, require_columns
from layermix.lab.data.dataset import Dataset, Split
from layermix.lab.data.hugging_face import load_tables
from layermix.lab.data.modalities import ImageInputs, TableInputs
from layermix.lab.data.sources import SOURCES
from layermix.lab.data.table_columns import (
    features_of,
    input_column,
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
    return _read(_part(source), source, config, data)


def read_split(source: str, config: DataConfig, data: Dataset) -> Split:
    """Return the inputs and labels of another data set, whose classes are those of the data.

    Classes are matched by name; another class raises an `InputError`.
    """
    if source in SOURCES:
        split, classes = _built_in(source, data)
        return Split(split.inputs, _in_classes(source, split.labels, classes, data))
    name, tables, gaps = part = _part(source)
    label = label_column(tables, config.label_column)
    require_columns(gaps, (label,))
    labels, classes = read_labels(tables, label)
    found = _in_classes(source, labels[name], classes, data)
    return Split(_read(part, source, config, data), found)


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


def _part(source: str) -> tuple[str, dict[str, Any], list[AbsentColumn]]:
    """Load the split that is read; return its name, its table, and columns it lacks."""
    tables, gaps = load_tables(source)
    name = next((part for part in _PARTS if part in tables), next(iter(tables)))
    return name, {name: tables[name]}, [gap for gap in gaps if gap.split == name]


def _read(
    part: tuple[str, dict[str, Any], list[AbsentColumn]],
    source: str,
    config: DataConfig,
    data: Dataset,
) -> Tensor:
    name, tables, gaps = part
    shape, unused = data.train.inputs.shape[1:], [*config.drop_columns]
    with suppress(InputError):  # other data need no labels
        unused.append(label_column(tables, config.label_column))
    others = without_columns(tables, unused)
    found = data.modality.read_more(others, replace(config, data=source), shape)[name]
    if isinstance(data.modality, TableInputs):
        used = [column.name for column in data.modality.columns]
    else:
        used = [input_column(features_of(others), data.modality.name, config)]
    require_columns(gaps, used)
    return found
