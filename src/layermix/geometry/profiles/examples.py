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
from torch.utils.data import Dataset, default_collate

from layermix.attach.observe import Batch, batch_size
from layermix.errors import InputError

_LABEL_KEYS = ("labels", "label", "targets", "target", "y")

Data = tuple[Batch, Tensor] | Mapping[str, Any] | Dataset | Iterable[Any]
"""Where examples come from; see `collect`."""


class Examples(NamedTuple):
    """Inputs and integer classes, (N,), and how many examples there were to choose from."""

    x: Batch
    labels: Tensor
    seen: int


def collect(data: Data, most: int, seed: int) -> Examples:
    """Return at most so many examples, without those whose class has no second member.

    Parameters
    ----------
    data
        A pair (x, labels); a mapping of named inputs with the labels among them; a data set of
        such pairs or mappings, one for each example; or anything that yields batches of them,
        such as a `DataLoader`. Sequences of different length are padded with zeros on the right.
    most
        The largest N.
    seed
        Seed of the choice.

    Raises
    ------
    InputError
        For anything else, labels that are no integer classes (N,), or no class with two members.
    """
    rng = np.random.default_rng(seed)
    if isinstance(data, Mapping) or _is_pair(data):
        x, labels = _split(data)
        found = _part(x, labels, rng.permutation(len(labels))[:most])
    elif isinstance(data, Dataset) and hasattr(data, "__len__"):
        size = len(data)  # pyright: ignore[reportArgumentType]
        chosen = rng.permutation(size)[:most].tolist()
        x, labels = _split(default_collate([data[index] for index in chosen]))
        found = Examples(x, labels, size)
    elif isinstance(data, Iterable):
        found = _reservoir(data, most, rng)
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


def _is_pair(data: object) -> bool:
    return isinstance(data, tuple | list) and len(data) == 2 and isinstance(data[1], Tensor)


def _split(batch: Any) -> tuple[Batch, Tensor]:
    """Return inputs and labels of a batch."""
    if isinstance(batch, Mapping):
        key = next((key for key in _LABEL_KEYS if key in batch), None)
        if key is None:
            raise InputError(
                f"there are no labels among the entries {sorted(batch)}: call them 'labels'"
            )
        x, labels = {k: v for k, v in batch.items() if k != key}, batch[key]
    elif isinstance(batch, tuple | list) and len(batch) == 2:
        x, labels = batch
    else:
        raise InputError(
            f"a batch is a {type(batch).__name__}, but must be a pair (x, labels) or a mapping "
            "with 'labels'"
        )
    _check(x, labels)
    return x, labels


def _check(x: Any, labels: Any) -> None:
    if not isinstance(x, Tensor | Mapping):
        raise InputError(
            f"the inputs are a {type(x).__name__}, but must be a tensor (N, ...) or a mapping of "
            "named tensors"
        )
    integer = isinstance(labels, Tensor) and not labels.is_floating_point()
    if not integer or labels.ndim != 1 or len(labels) != batch_size(x):
        shape = f"{labels.dtype} {tuple(labels.shape)}" if isinstance(labels, Tensor) else "no"
        raise InputError(
            f"{batch_size(x)} examples need integer classes of shape ({batch_size(x)},), but "
            f"these labels are {shape if integer or shape != 'no' else type(labels).__name__}"
        )


def _part(x: Batch, labels: Tensor, index: Any) -> Examples:
    index = torch.as_tensor(index, device="cpu")

    def part(value: Any) -> Any:
        return value[index.to(value.device)] if isinstance(value, Tensor) else value

    own = {k: part(v) for k, v in x.items()} if isinstance(x, Mapping) else part(x)
    return Examples(own, part(labels), len(labels))


def _reservoir(batches: Iterable[Any], most: int, rng: np.random.Generator) -> Examples:
    kept: list[tuple[Any, Tensor]] = []
    seen = 0
    for one in _singly(batches):
        place = seen if seen < most else int(rng.integers(seen + 1))
        seen += 1
        if place >= most:
            continue
        own = _apart(one)
        if place == len(kept):
            kept.append(own)
        else:
            kept[place] = own
    if not kept:
        raise InputError("the data yield no batch")
    order = rng.permutation(len(kept))
    labels = torch.stack([kept[index][1] for index in order])
    return Examples(_stacked([kept[index][0] for index in order]), labels, seen)


def _singly(batches: Iterable[Any]) -> Iterator[tuple[Any, Tensor]]:
    for batch in batches:
        x, labels = _split(batch)
        for index, label in enumerate(labels):
            yield _row(x, index), label


def _row(x: Batch, index: int) -> Any:
    if isinstance(x, Mapping):
        return {k: v[index] if isinstance(v, Tensor) else v for k, v in x.items()}
    return x[index]


def _apart(one: tuple[Any, Tensor]) -> tuple[Any, Tensor]:
    """Copy an example out of its batch, which may then go."""
    x, label = one
    if isinstance(x, Mapping):
        x = {k: v.clone() if isinstance(v, Tensor) else v for k, v in x.items()}
        return x, label.clone()
    return x.clone(), label.clone()


def _stacked(rows: list[Any]) -> Batch:
    first = rows[0]
    if isinstance(first, Mapping):
        return {
            k: _padded([row[k] for row in rows]) if isinstance(v, Tensor) else v
            for k, v in first.items()
        }
    if len({row.shape for row in rows}) > 1:
        raise InputError(
            f"examples differ in shape, as {tuple(first.shape)} and "
            f"{tuple(next(r.shape for r in rows if r.shape != first.shape))}: resize them all alike"
        )
    return torch.stack(rows)


def _padded(rows: list[Tensor]) -> Tensor:
    if rows[0].ndim == 0:
        return torch.stack(rows)
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)


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


def _take(examples: Examples, index: Tensor) -> Examples:
    return _part(examples.x, examples.labels, index)._replace(seen=examples.seen)
