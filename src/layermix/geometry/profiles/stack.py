"""Single examples as one batch."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from layermix.errors import InputError
from layermix.hooks.batch import Batch


def stacked(rows: list[tuple[Batch, Tensor]], padding: int) -> tuple[Batch, Tensor]:
    """Return the inputs and the labels of examples, each a batch of one.

    Parameters
    ----------
    rows
        Inputs and label, (1,), of each example.
    padding
        What ``input_ids`` of different length are padded with where there is an attention mask.

    Raises
    ------
    InputError
        For examples of different shapes that cannot be padded.
    """
    labels = torch.cat([label for _, label in rows])
    inputs: list[Any] = [x for x, _ in rows]
    first = inputs[0]
    if isinstance(first, Mapping):
        ragged = "attention_mask" in first
        x: Batch = {
            name: _column([each[name] for each in inputs], name, ragged, padding) for name in first
        }
        return x, labels
    if isinstance(first, tuple):
        columns = enumerate(zip(*inputs, strict=True))
        x = tuple(_column(list(rows), f"input {k}", False, 0) for k, rows in columns)
        return x, labels
    return _joined(inputs, "x", False, 0), labels


def _column(rows: list[Any], name: str, may_pad: bool, padding: int) -> Any:
    """Return one input of all examples; what is no tensor of theirs is the same for all."""
    each = isinstance(rows[0], Tensor) and rows[0].ndim
    return _joined(rows, name, may_pad, padding) if each else rows[0]


def _joined(rows: list[Any], name: str, may_pad: bool, padding: int) -> Tensor:
    """Return rows as one tensor; sequences are padded where an attention mask says so."""
    shapes = {row.shape for row in rows}
    if len(shapes) == 1:
        return torch.cat(rows)
    if not (may_pad and all(row.ndim == 2 for row in rows)):
        some = " and ".join(str(tuple(shape[1:])) for shape in sorted(shapes)[:2])
        raise InputError(
            f"examples of {name!r} differ in shape, as {some}: make them all alike, or pad "
            "sequences together with an attention_mask"
        )
    value = padding if name == "input_ids" else 0
    sequences = [row[0] for row in rows]
    return torch.nn.utils.rnn.pad_sequence(sequences, batch_first=True, padding_value=value)
