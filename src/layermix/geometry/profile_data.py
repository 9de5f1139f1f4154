"""Choose the examples of a profile: a random subset of the data, in random order.

Tensors and data sets are sampled directly. An iterable of batches is sampled by reservoir sampling
(Vitter, 1985), so that only the subset is in memory.

Shapes: B batch, N examples.
"""

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader

from layermix.errors import InputError
from layermix.hooks.batch import Batch, batch_size, edit_batch, likely_dims, tensors_of
from layermix.hooks.masks import is_mask
from layermix.hooks.nested import replaced

_LABELS = ("labels", "label", "targets", "target", "y")


@dataclass(frozen=True)
class Examples:
    """Inputs of N examples, with batch dimension `batch_dim`, and their integer classes, (N,).

    `drawn` of `available` examples were chosen; `ignored` others have the label `ignore_index`.
    """

    x: Batch
    labels: Tensor
    batch_dim: int
    drawn: int
    available: int
    ignored: int

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, index: Tensor) -> "Examples":
        """Return the examples at these indices."""
        x = edit_batch(self.x, lambda tensor: tensor[index.to(tensor.device)], self.batch_dim)
        return dataclasses.replace(self, x=x, labels=self.labels[index.to(self.labels.device)])

    def without_singletons(self) -> "Examples":
        """Return the examples whose class has two members or more."""
        _, inverse, counts = self.labels.unique(return_inverse=True, return_counts=True)
        keep, classes = counts[inverse] > 1, int((counts > 1).sum())
        if classes < 2:
            raise InputError(
                f"only {classes} classes of {len(self)} examples have two members or more, but "
                "geometry needs two such classes: give more examples"
            )
        return self if keep.all() else self.take(keep.nonzero().flatten())


def choose_examples(
    data: Any, most: int, seed: int, padding: int = 0, ignore_index: int = -100, batch_dim: int = 0
) -> Examples:
    """Choose at most `most` examples at random; leave out classes with a single example.

    The data are a pair (x, labels), where x may be a tuple of inputs; a mapping of named inputs and
    labels; or a data set or iterable of such examples or batches.
    """
    rng = np.random.default_rng(seed)
    if isinstance(data, Mapping) or _is_pair(data) or (isinstance(data, tuple) and _several(data)):
        x, labels = _unpacked(data, batch_dim)
        known = (labels.cpu() != ignore_index).nonzero().flatten()
        order = known[torch.from_numpy(rng.permutation(len(known)))]
        drawn, ignored = min(most, len(order)), len(labels) - len(order)
        _check_any(drawn, ignored)
        found = Examples(x, labels, batch_dim, drawn, len(order), ignored).take(order[:most])
    elif isinstance(data, str | Tensor) or not (isinstance(data, Iterable) or _is_data_set(data)):
        raise InputError(
            f"the data are a {type(data).__name__}, but must be (x, labels), a data set, or an "
            "iterable of batches (x, labels)"
        )
    else:
        found = _collected(data, most, rng, padding, ignore_index, batch_dim)
    return found.without_singletons()


def _collected(
    data: Any, most: int, rng: np.random.Generator, padding: int, ignore_index: int, batch_dim: int
) -> Examples:
    part = _is_data_set(data) and len(data) > most  # sampled directly
    if _is_data_set(data):
        order = rng.permutation(len(data)).tolist() if part else range(len(data))
        batches = (_unpacked(data[index], batch_dim, single=True) for index in order)
    else:
        batches = (_unpacked(batch, batch_dim) for batch in data)
    kept: list[tuple[Batch, Tensor]] = []
    available = ignored = 0
    for x, labels in batches:
        for row, label in enumerate(labels.tolist()):
            if label == ignore_index:
                ignored += 1
                continue
            place = available if available < most else int(rng.integers(available + 1))
            available += 1
            if place < most:  # copied, so that the batch can be freed
                one = edit_batch(x, lambda t, r=row: t[r : r + 1].clone(), batch_dim)
                kept[place : place + 1] = [(one, labels[row : row + 1].clone())]
        if part and available == most:
            available = len(data) - ignored
            break
    _check_any(len(kept), ignored)
    if not part:
        kept = [kept[index] for index in rng.permutation(len(kept))]
    x, labels = _stacked(kept, padding, batch_dim)
    return Examples(x, labels, batch_dim, len(kept), available, ignored)


def _check_any(known: int, ignored: int) -> None:
    why = f"the labels of all {ignored} examples are ignored: add examples with other labels"
    if not known:
        raise InputError(why if ignored else "the data yield no batch")


def _is_pair(data: Any) -> bool:
    """Return True if data are a pair (x, labels), and not a list of two batches."""
    if not isinstance(data, tuple | list) or len(data) != 2:
        return False
    x, labels = data
    if isinstance(x, Tensor | np.ndarray | Mapping):
        return isinstance(labels, Tensor | np.ndarray | list) and np.ndim(labels) > 0
    scalars = isinstance(labels, list) and all(isinstance(label, int) for label in labels)
    array = isinstance(labels, Tensor | np.ndarray) and labels.ndim > 0
    return _several(x) and (scalars or array)


def _is_data_set(data: Any) -> bool:
    map_style = hasattr(data, "__len__") and hasattr(data, "__getitem__")
    return map_style and not isinstance(data, DataLoader | Mapping | Tensor | list | tuple)


def _unpacked(item: Any, batch_dim: int, single: bool = False) -> tuple[Batch, Tensor]:
    """Return inputs and labels, int64 (B,), of a batch; a `single` example becomes a batch."""
    if isinstance(item, Mapping):
        key = next((key for key in _LABELS if key in item), None)
        if key is None:
            raise InputError(f"none of the entries {sorted(item)} are labels: name them 'labels'")
        x, labels = {name: _tensor(v) for name, v in item.items() if name != key}, item[key]
    elif isinstance(item, tuple | list) and len(item) == 2:
        x, labels = _tensor(item[0]), item[1]
    else:
        raise InputError(
            f"a batch is {_kind(item)}, but must be a pair (x, labels) or a mapping with 'labels': "
            "group several inputs, as in [((a, b), labels) for a, b, labels in loader], or pass "
            "them by the argument names of the model"
        )
    labels = _classes(labels)
    if single or not labels.ndim:
        return _batch_of_one(x, labels.reshape(-1), batch_dim)
    if not isinstance(x, Tensor | Mapping | tuple):
        raise InputError(
            f"the inputs are {_kind(x)}, but must be a tensor, a tuple or a mapping of tensors"
        )
    size = batch_size(x, batch_dim)
    if labels.ndim != 1 or len(labels) != size:
        raise InputError(
            f"{size} examples need integer classes of shape ({size},), but the labels have shape "
            f"{tuple(labels.shape)}: set batch_dim if the batch is another dimension"
        )
    return x, labels


def _classes(labels: Any) -> Tensor:
    """Convert integer labels to int64 of shape () or (B,); squeeze (B, 1)."""
    try:
        found = torch.as_tensor(labels)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"the labels are {_kind(labels)}, not integer classes") from error
    if found.ndim == 2 and found.shape[1] == 1:
        found = found[:, 0]
    whole = found.long() if not found.is_complex() else found
    if not torch.equal(whole.to(found.dtype), found):
        raise InputError(f"the labels are {found.dtype} with fractions, but must be whole classes")
    return whole


def _batch_of_one(x: Any, label: Tensor, batch_dim: int) -> tuple[Batch, Tensor]:
    if len(label) != 1:
        raise InputError(f"an example has {len(label)} labels, but must have one class")

    def expanded(value: Any, name: str = "") -> Tensor:
        try:
            tensor = torch.as_tensor(value)
        except (TypeError, ValueError, RuntimeError) as error:
            raise InputError(f"an example has {_kind(value)}: convert it to a tensor") from error
        return tensor.unsqueeze(0 if is_mask((name,)) else min(batch_dim, tensor.ndim))

    if isinstance(x, Mapping):
        return {k: expanded(v, k) for k, v in x.items() if not isinstance(v, str)}, label
    return tuple(map(expanded, x)) if _several(x) else expanded(x), label


def _stacked(
    examples: list[tuple[Batch, Tensor]], padding: int, batch_dim: int
) -> tuple[Batch, Tensor]:
    """Concatenate batches of one example each to one batch.

    Inputs without a batch dimension are those of the first example. If there is an attention mask,
    ``input_ids`` are padded with `padding`, other sequences with 0.
    """
    first, tensors = examples[0][0], [tensors_of(x) for x, _ in examples]
    ragged = isinstance(first, Mapping) and "attention_mask" in first
    joined = {}
    for path, dim in likely_dims(first, batch_dim).items():
        name = path[-1] if path else "x"
        rows = [each[path].movedim(dim, 0) for each in tensors]
        shapes = {row.shape for row in rows}
        if len(shapes) == 1:
            joined[path] = torch.cat(rows).movedim(0, dim)
        elif ragged and all(row.ndim == 2 for row in rows):
            value = padding if name == "input_ids" else 0
            joined[path] = pad_sequence([row[0] for row in rows], True, value).movedim(0, dim)
        else:
            some = " and ".join(str(tuple(shape[1:])) for shape in sorted(shapes)[:2])
            raise InputError(
                f"examples of {name!r} have different shapes, such as {some}: give them the same "
                "shape, or add an attention_mask to sequences so that they are padded"
            )
    return replaced(first, joined), torch.cat([label for _, label in examples])


def _several(value: Any) -> bool:
    """Return True if a value is several inputs: a tuple or list of arrays."""
    if not isinstance(value, tuple | list):
        return False
    return all(isinstance(each, Tensor | np.ndarray) for each in value) and any(map(np.ndim, value))


def _tensor(value: Any) -> Any:
    if _several(value):
        return tuple(map(_tensor, value))
    return torch.from_numpy(value) if isinstance(value, np.ndarray) else value


def _kind(value: Any) -> str:
    kind = f"a {type(value).__name__}"
    if not isinstance(value, tuple | list):
        return kind
    shapes = [str(tuple(each.shape)) for each in value if hasattr(each, "shape")]
    return f"{kind} of {len(value)}" + f" with shapes {', '.join(shapes)}" * bool(shapes)
