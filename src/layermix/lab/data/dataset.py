"""Data sets: tensors of inputs with integer labels, in named splits.

Shapes: N examples.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from layermix.errors import InputError, brief, unknown
from layermix.lab.data.modality import Modality, Preprocess, TensorInputs, Transform, shape_text

SPLITS = ("train", "validation", "test")
_OTHER_NAMES = {"training": "train", "testing": "test"}
_OTHER_NAMES |= dict.fromkeys(("val", "valid", "dev"), "validation")

Labels = Tensor | np.ndarray | Sequence[int] | Sequence[str]
Subset = Literal["all", "balanced", "stratified"]


@dataclass(frozen=True, eq=False)
class Split:
    """Inputs (N, ...), as their modality stores them, and their classes, int64 (N,)."""

    inputs: Tensor
    labels: Tensor

    def __post_init__(self) -> None:
        if self.labels.dtype != torch.int64 or self.labels.shape != self.inputs.shape[:1]:
            found = shape_text(self.labels)
            raise InputError(f"labels must be int64 ({len(self.inputs)},), but are {found}")

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: Tensor) -> "Split":
        return Split(self.inputs[index], self.labels[index])

    @property
    def digest(self) -> str:
        """SHA-256 of the inputs and labels, the first 16 hexadecimal digits."""
        found = hashlib.sha256()
        for tensor in (self.inputs, self.labels):
            found.update(tensor.cpu().contiguous().numpy().tobytes())
        return found.hexdigest()[:16]

    def to(self, device: torch.device) -> "Split":
        """Move the split to a device."""
        return Split(self.inputs.to(device), self.labels.to(device))


@dataclass(frozen=True, eq=False)
class Source:
    """All splits of a data set by name, its class names, and the modality of its inputs."""

    splits: dict[str, Split]
    classes: tuple[str, ...]
    modality: Modality

    @classmethod
    def of(
        cls, splits: Mapping[str, tuple[Tensor, Labels]], modality: Modality | None = None
    ) -> "Source":
        """Create a data set from the inputs and labels of each split; see `encode_labels`.

        Splits are ``train``, ``validation`` and ``test``, or have other usual names, such as
        ``val``.

        By default, models get the inputs as they are.
        """
        found = {standard_split(name): pair for name, pair in splits.items()}
        for name, standard in zip(splits, map(standard_split, splits), strict=True):
            if standard not in SPLITS:
                raise unknown("split", name, SPLITS)
        if len(found) < len(splits):
            raise InputError(f"two of the splits {list(splits)} are the same: join them")
        labels, classes = encode_labels({name: values for name, (_, values) in found.items()})
        tensors = {name: _as_tensor(x, name) for name, (x, _) in found.items()}
        parts = {name: Split(x, labels[name]) for name, x in tensors.items()}
        return cls(parts, classes, modality or TensorInputs())

    def __post_init__(self) -> None:
        noun = self.modality.noun
        for name, split in self.splits.items():
            if not len(split):
                raise InputError(f"the split {name!r} has no {noun}")
            if problem := self.modality.problem(split.inputs):
                raise InputError(problem)
            low, high = int(split.labels.min()), int(split.labels.max())
            if low < 0 or high >= len(self.classes):
                raise InputError(
                    f"the split {name!r} has the label {low if low < 0 else high}, but labels must "
                    f"be from 0 to {len(self.classes) - 1} for {len(self.classes)} classes"
                )
        shapes = {name: tuple(split.inputs.shape[1:]) for name, split in self.splits.items()}
        if len(set(shapes.values())) > 1:
            hint = ": set --image-size" if noun == "images" else ", but must have one"
            raise InputError(f"{noun} have different shapes, {shapes}{hint}")


@dataclass(frozen=True, eq=False)
class Dataset:
    """The three splits of a run, the class names, and the modality of the inputs.

    `subset` is ``"all"`` if all training examples are used, else ``"balanced"`` for equal numbers
    of each class, or ``"stratified"`` if a class has too few examples for that.
    """

    train: Split
    val: Split
    test: Split
    classes: tuple[str, ...]
    modality: Modality
    subset: Subset = "all"
    encode: Transform = lambda inputs: inputs
    """Encodes other inputs as those of the splits."""

    @property
    def sizes(self) -> dict[str, int]:
        """Number of training, validation and test examples, and of classes."""
        return {name: len(getattr(self, name)) for name in ("train", "val", "test", "classes")}

    @property
    def digests(self) -> dict[str, str]:
        """SHA-256 of the inputs and labels of each split, the first 16 hexadecimal digits."""
        return {name: getattr(self, name).digest for name in ("train", "val", "test")}

    @cached_property
    def preprocess(self) -> Preprocess:
        """The function that preprocesses each batch, fitted to the training examples."""
        return self.modality.preprocessing(self.train.inputs)

    def encoded(self) -> "Dataset":
        """Return the data set with encoded inputs, as fitted to the training examples."""
        encode = self.modality.encoding(self.train.inputs)
        found = self._changed(lambda split: Split(encode(split.inputs), split.labels))
        return replace(found, encode=encode)

    def copy(self) -> "Dataset":
        """Return a copy with tensors of its own."""
        return self._changed(lambda split: Split(split.inputs.clone(), split.labels.clone()))

    def to(self, device: torch.device) -> "Dataset":
        """Move the data to a device."""
        return self._changed(lambda split: split.to(device))

    def _changed(self, change: Callable[[Split], Split]) -> "Dataset":
        parts = {name: change(getattr(self, name)) for name in ("train", "val", "test")}
        return replace(self, **parts)


def standard_split(name: str) -> str:
    """Return ``train``, ``validation`` or ``test`` for a usual name of a split, such as ``val``."""
    lower = name.lower()
    return lower if lower in SPLITS else _OTHER_NAMES.get(lower, name)


def encode_labels(
    labels: Mapping[str, Labels], names: Sequence[str] | None = None
) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Return the labels of each split as integer classes, int64 (N,), and the class names.

    Labels are numbered in the sorted order of all splits. Class names of integers are their digits.
    If `names` are given, labels are their indices already.

    Examples
    --------
    >>> encode_labels({"train": ["dog", "cat", "dog"]})
    ({'train': tensor([1, 0, 1])}, ('cat', 'dog'))
    """
    arrays = {name: _as_array(values, name) for name, values in labels.items()}
    if len({array.dtype.kind for array in arrays.values()}) > 1:
        raise InputError(
            f"the labels of {list(arrays)} are integers in one split and names in another: use one"
        )
    joined = np.concatenate(list(arrays.values()))
    for name, array in arrays.items():
        if array.dtype.kind == "i" and array.min() < 0:
            raise InputError(
                f"split {name!r} has the label {array.min()}, but labels must be from 0 on, or "
                "class names"
            )
    classes = names
    if classes is None:
        classes, joined = np.unique(joined, return_inverse=True)
    elif len(outside := joined[(joined < 0) | (joined >= len(classes))]):
        raise InputError(
            f"the label {outside[0]} is not the index of one of the {len(classes)} class names"
        )
    parts = torch.from_numpy(joined).split([len(array) for array in arrays.values()])
    return dict(zip(arrays, parts, strict=True)), tuple(map(str, classes))


def _as_tensor(inputs: Any, split: str) -> Tensor:
    if isinstance(inputs, Tensor | np.ndarray):
        return torch.as_tensor(inputs)
    raise InputError(
        f"the inputs of split {split!r} are {brief(inputs)}, but must be a tensor or an array "
        "(N, ...): write tables and texts to a file, and pass its path"
    )


def _as_array(labels: Labels, split: str) -> np.ndarray:
    array = labels.cpu().numpy() if isinstance(labels, Tensor) else np.asarray(labels)
    if array.ndim != 1 or not array.size:
        raise InputError(
            f"the labels of split {split!r} have shape {array.shape}, but must be (N,), N >= 1"
        )
    if array.dtype.kind in "fu" and (large := np.abs(array) >= 2**63).any():
        value = labels[int(large.argmax())]
        raise InputError(f"split {split!r} has the label {value}, but labels must be below 2**63")
    if array.dtype.kind == "f" and np.isfinite(array).all() and (array == array.round()).all():
        return array.astype(np.int64)  # such as 1.0
    if array.dtype.kind in "iu":
        return array.astype(np.int64)
    if absent := sum(value is None or value != value for value in array.tolist()):
        missing = f"{absent} missing label{'s' * (absent > 1)}"
        raise InputError(f"split {split!r} has {missing}: remove these rows")
    wrong = "" if array.dtype.kind in "Ub" else f"{array.dtype} labels"
    if array.dtype.kind == "O":
        others = [value for value in array if not isinstance(value, str)]
        wrong = f"the label {others[0]!r}" if others else ""
    if wrong:
        raise InputError(f"split {split!r} has {wrong}, but labels must be integers or class names")
    return array.astype(str)
