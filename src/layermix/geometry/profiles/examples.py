"""Choose the examples of a profile: a random part of whatever holds them, in random order.

Of tensors and of a data set the part is drawn; from batches that come one after another it is kept
by reservoir sampling (Vitter, 1985), so that no more than the part is ever held.

Shapes: N examples, B batch.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from layermix.attach.batch import Batch, edit_batch
from layermix.errors import InputError
from layermix.geometry.profiles.labels import are_several, as_labels, split

Data = Any
"""Where examples come from; see `collect`."""

_NO_DATA_SET = DataLoader | Mapping | Tensor | list | tuple


class Examples(NamedTuple):
    """Inputs and integer classes, (N,), and how many examples there were to choose from."""

    x: Batch
    labels: Tensor
    seen: int


def collect(data: Data, most: int, seed: int, padding: int = 0) -> Examples:
    """Return at most so many examples, without those whose class has no second member.

    Parameters
    ----------
    data
        A pair (x, labels), where x may be a tuple of several inputs; a mapping of named inputs
        with the labels among them; a data set of such pairs or mappings, one for each example; or
        anything that yields batches or single ones of them, such as a `DataLoader`.
    most
        The largest N.
    seed
        Seed of the choice.
    padding
        What ``input_ids`` of different length are padded with on the right, where there is an
        attention mask; other sequences are padded with 0.

    Raises
    ------
    InputError
        For anything else, labels that are no classes (N,), or no class with two members.
    """
    rng = np.random.default_rng(seed)
    if isinstance(data, Mapping) or _is_pair(data) or _are_arrays(data):
        x, labels = split(data)
        found = _part(x, labels, rng.permutation(len(labels))[:most])
    elif _is_data_set(data):
        chosen = rng.permutation(len(data))[:most].tolist()
        found = _stacked([_single(data[index]) for index in chosen], len(data), padding)
    elif isinstance(data, Iterable) and not isinstance(data, str | Tensor):
        found = _reservoir(data, most, rng, padding)
    else:
        raise InputError(
            f"the data are a {type(data).__name__}, but must be (x, labels), a data set, or "
            "yield batches of (x, labels)"
        )
    return _with_company(found)


def fewer(examples: Examples, most: int) -> Examples:
    """Return the first examples, again without those that are alone in their class."""
    if most >= len(examples.labels):
        return examples
    return _with_company(_take(examples, torch.arange(most)))


def _is_pair(data: Any) -> bool:
    """Tell (x, labels) from a list of batches: labels have as many rows as x."""
    if not isinstance(data, tuple | list) or len(data) != 2:
        return False
    x, labels = data
    if are_several(x):  # or the first of two batches, where a batch comes second
        whole = isinstance(labels, list) and all(isinstance(label, int) for label in labels)
        return whole or (isinstance(labels, Tensor | np.ndarray) and labels.ndim > 0)
    arrays = isinstance(x, Tensor | np.ndarray | Mapping)
    return arrays and isinstance(labels, Tensor | np.ndarray | list) and np.ndim(labels) > 0


def _are_arrays(data: Any) -> bool:
    """Tell a tuple such as (a, b, labels) from one of batches; `split` refuses it."""
    return isinstance(data, tuple) and are_several(data)


def _is_data_set(data: Any) -> bool:
    map_style = hasattr(data, "__len__") and hasattr(data, "__getitem__")
    return map_style and not isinstance(data, _NO_DATA_SET)


def _part(x: Batch, labels: Tensor, index: Any) -> Examples:
    index = torch.as_tensor(index, device="cpu")
    own = edit_batch(x, lambda tensor: tensor[index.to(tensor.device)])
    return Examples(own, labels[index.to(labels.device)], len(labels))


def _take(examples: Examples, index: Tensor) -> Examples:
    return _part(examples.x, examples.labels, index)._replace(seen=examples.seen)


def _reservoir(
    batches: Iterable[Any], most: int, rng: np.random.Generator, padding: int
) -> Examples:
    kept: list[tuple[Batch, Tensor]] = []
    seen = 0
    for batch, row in _rows(batches):
        place = seen if seen < most else int(rng.integers(seen + 1))
        seen += 1
        if place >= most:
            continue
        own = _copied(batch, row)
        if place == len(kept):
            kept.append(own)
        else:
            kept[place] = own
    if not kept:
        raise InputError("the data yield no batch")
    return _stacked([kept[index] for index in rng.permutation(len(kept))], seen, padding)


def _rows(batches: Iterable[Any]) -> Iterator[tuple[tuple[Batch, Tensor], int]]:
    """Yield each example as a batch and its place there."""
    for batch in batches:
        x, labels = _single(batch) if _holds_one(batch) else split(batch)
        for row in range(len(labels)):
            yield (x, labels), row


def _copied(batch: tuple[Batch, Tensor], row: int) -> tuple[Batch, Tensor]:
    """Copy an example out of its batch, which may then go, as a batch of one."""
    x, labels = batch
    one = slice(row, row + 1)
    return edit_batch(x, lambda tensor: tensor[one].clone()), labels[one].clone()


def _holds_one(batch: Any) -> bool:
    """Tell whether what is there is one example, with a label and not a row of them."""
    try:
        _, labels = split(batch, check=False)
    except InputError:
        return False
    return as_labels(labels).ndim == 0


def _single(example: Any) -> tuple[Batch, Tensor]:
    """Return one example of a data set as a batch of one."""
    x, label = split(example, check=False)
    label = as_labels(label).reshape(-1)
    if len(label) != 1:
        raise InputError(
            f"an example of the data set has {len(label)} labels, but must have one class"
        )
    if isinstance(x, Mapping):
        return {k: _alone(v) for k, v in x.items() if not isinstance(v, str)}, label
    return tuple(map(_alone, x)) if are_several(x) else _alone(x), label


def _alone(value: Any) -> Tensor:
    """Return what an example holds as a batch of one."""
    try:
        return torch.as_tensor(value)[None]
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(
            f"an example of the data set holds a {type(value).__name__}, but must hold tensors: "
            "convert it in the data set's transform"
        ) from error


def _stacked(rows: list[tuple[Batch, Tensor]], seen: int, padding: int) -> Examples:
    labels = torch.cat([label for _, label in rows])
    inputs: list[Any] = [x for x, _ in rows]
    first = inputs[0]
    if isinstance(first, Mapping):
        ragged = "attention_mask" in first
        x: Batch = {
            name: _column([each[name] for each in inputs], name, ragged, padding) for name in first
        }
        return Examples(x, labels, seen)
    if isinstance(first, tuple):
        columns = enumerate(zip(*inputs, strict=True))
        x = tuple(_column(list(rows), f"input {k}", False, 0) for k, rows in columns)
        return Examples(x, labels, seen)
    return Examples(_joined(inputs, "x", False, 0), labels, seen)


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


def _with_company(found: Examples) -> Examples:
    """Leave out examples that are alone in their class."""
    _, place, counts = found.labels.unique(return_inverse=True, return_counts=True)
    keep = counts[place] > 1
    if int((counts > 1).sum()) < 2:
        raise InputError(
            f"of {len(found.labels)} examples {int((counts > 1).sum())} classes have two members "
            "or more, but geometry needs two such classes: give more examples"
        )
    return found if keep.all() else _take(found, keep.nonzero().flatten())
