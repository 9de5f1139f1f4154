"""Read other data sets in the form of the data of a study: shifted data, or other classes."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from layermix.errors import InputError
from layermix.lab.data.config import DataConfig
from layermix.lab.data.dataset import Dataset, Split
from layermix.lab.data.hugging_face import label_column, load_tables, read_labels
from layermix.lab.data.modalities import ImageInputs
from layermix.lab.data.sources import SOURCES

_PARTS = ("test", "validation", "train")  # the first one that exists is read


def read_inputs(source: str, config: DataConfig, data: Dataset) -> Tensor:
    """Return the inputs of another data set, (N, ...), as the modality of the data stores them.

    The test split is read or, if there is none, the validation or the training split. `config` has
    the settings of the study's data.
    """
    if source in SOURCES:
        if not isinstance(data.modality, ImageInputs):
            raise InputError(f"{source} has images, but the data of the study do not")
        inputs = SOURCES[source](None).splits["test"].inputs
        return data.modality.fitted(inputs, data.train.inputs.shape[1:])
    name, tables = _part(source)
    return _read(name, tables, source, config, data)


def read_split(source: str, config: DataConfig, data: Dataset) -> Split:
    """Return the inputs and labels of another data set, whose classes are those of the data.

    Classes are matched by name; another class raises an `InputError`.
    """
    name, tables = _part(source)
    labels, classes = read_labels(tables, label_column(tables, config.label_column))
    if strangers := set(classes) - set(data.classes):
        raise InputError(
            f"{source} has the class {sorted(strangers)[0]!r}, which the data of the study lack: "
            f"its classes must be among {list(data.classes)}"
        )
    index = torch.tensor([data.classes.index(each) for each in classes])
    return Split(_read(name, tables, source, config, data), index[labels[name]])


def _part(source: str) -> tuple[str, dict[str, Any]]:
    """Load the split that is read; return its name, and its table by this name."""
    tables = load_tables(source)
    name = next((part for part in _PARTS if part in tables), next(iter(tables)))
    return name, {name: tables[name]}


def _read(
    name: str, tables: Mapping[str, Any], source: str, config: DataConfig, data: Dataset
) -> Tensor:
    shape = data.train.inputs.shape[1:]
    return data.modality.read_more(tables, replace(config, data=source), shape)[name]
