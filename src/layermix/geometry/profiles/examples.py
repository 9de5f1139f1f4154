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

from layermix.errors import InputError
from layermix.geometry.profiles.labels import are_several, as_labels, split
from layermix.geometry.profiles.stack import stacked
from layermix.hooks.batch import Batch, edit_batch

Data = Any
"""Where examples come from; see `collect`."""

_NO_DATA_SET = DataLoader | Mapping | Tensor | list | tuple


class Examples(NamedTuple):
    """Inputs and integer classes, (N,), and where they were chosen from.

    Attributes
    ----------
    x, labels
        Of each example.
    seen
        Number of examples there were to choose from.
    ignored
        Number of others that were left out because their label is ignored.
    """

    x: Batch
    labels: Tensor
    seen: int
    ignored: int = 0


def collect(
    data: Data, most: int, seed: int, padding: int = 0, ignore_index: int = -100
) -> Examples:
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
    ignore_index
        Label of examples that are left out.

    Raises
    ------
    InputError
        For anything else, labels that are no classes (N,), or no class with two members.
    """
    rng = np.random.default_rng(seed)
    if isinstance(data, Mapping) or _is_pair(data) or _are_arrays(data):
        x, labels = split(data)
        known = (labels.cpu() != ignore_index).nonzero().flatten()
        order = known[torch.from_numpy(rng.permutation(len(known)))]
        found = _part(x, labels, order[:most])
        found = found._replace(seen=len(order), ignored=len(labels) - len(order))
        _check_any(len(order), found.ignored)
    elif _is_data_set(data):
        found = _chosen(data, most, rng, padding, ignore_index)
    elif isinstance(data, Iterable) and not isinstance(data, str | Tensor):
        found = _reservoir(data, most, rng, padding, ignore_index)
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
    part = _part(examples.x, examples.labels, index)
    return part._replace(seen=examples.seen, ignored=examples.ignored)


def _chosen(
    data: Any, most: int, rng: np.random.Generator, padding: int, ignore_index: int
) -> Examples:
    kept: list[tuple[Batch, Tensor]] = []
    ignored = 0
    whole = len(data) <= most
    for index in range(len(data)) if whole else rng.permutation(len(data)).tolist():
        if len(kept) == most:
            break
        one = _single(data[index])
        if int(one[1]) == ignore_index:
            ignored += 1
        else:
            kept.append(one)
    _check_any(len(kept), ignored)
    if whole:  # as if there were no ignored ones
        kept = [kept[index] for index in rng.permutation(len(kept))]
    return Examples(*stacked(kept, padding), len(data) - ignored, ignored)


def _reservoir(
    batches: Iterable[Any], most: int, rng: np.random.Generator, padding: int, ignore_index: int
) -> Examples:
    kept: list[tuple[Batch, Tensor]] = []
    seen = ignored = 0
    for batch, row in _rows(batches):
        if int(batch[1][row]) == ignore_index:
            ignored += 1
            continue
        place = seen if seen < most else int(rng.integers(seen + 1))
        seen += 1
        if place >= most:
            continue
        own = _copied(batch, row)
        if place == len(kept):
            kept.append(own)
        else:
            kept[place] = own
    _check_any(len(kept), ignored)
    shuffled = [kept[index] for index in rng.permutation(len(kept))]
    return Examples(*stacked(shuffled, padding), seen, ignored)


def _check_any(kept: int, ignored: int) -> None:
    if kept:
        return
    if ignored:
        raise InputError(
            f"the labels of all {ignored} examples are ignored: give examples of known classes"
        )
    raise InputError("the data yield no batch")


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
