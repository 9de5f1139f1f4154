"""Read and replace the tensors in nested inputs and outputs of modules.

A value is a tree whose leaves are tensors. Its branches are tuples, lists, named tuples, mappings
(outputs of Hugging Face) and dataclasses, which keep their type. A path is the tuple of keys that
leads to a tensor. Other objects (caches, numbers) are not changed. The main tensor is the
activation: the value itself, the first tensor in a list, or in a mapping the logits, the last
hidden state, or the first float tensor. The other tensors of a value are secondary.
"""

import copy
import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from layermix.errors import InputError

_T = TypeVar("_T")

Path = tuple[Any, ...]
Dims = Mapping[Path, int | None]
"""The batch dimension of each tensor by path; None for tensors without one."""

# Token ids cannot be mixed, but without them a mask would be treated as the activation.
_MAIN_KEYS = (  # entries of mappings, the preferred ones first
    *("logits", "last_hidden_state", "pixel_values", "inputs_embeds", "input_values"),
    *("input_features", "input_ids"),
)


def leaves(value: Any) -> dict[Path, Tensor]:
    """Return all tensors of a value by path, the main one first, or raise an `InputError`."""
    if isinstance(value, Tensor):
        return {(): value}
    if _is_one_argument(value):
        return {(0, 0): value[0][0]}
    main = _main(value)
    if main is None:
        if isinstance(value, Mapping) and value:
            raise InputError(f"there is no tensor to mix among the entries {sorted(value)}")
        raise InputError(f"there is no tensor to mix in an output of type {type(value).__name__}")
    path, tensor = main
    return {path: tensor, **dict(_walk(value, Tensor))}


def main_tensor(value: Any) -> Tensor:
    """Return the main tensor of a module's output; raise an `InputError` if it has no tensor."""
    if isinstance(value, Tensor):
        return value
    return next(iter(leaves(value).values()))


def replaced(value: Any, new: Mapping[Path, Tensor]) -> Any:
    """Return a copy of a value in which the tensors at the paths of `new` are replaced."""
    if () in new:
        return new[()]
    if (0, 0) in new and _is_one_argument(value):
        return (new[0, 0],), {}
    changed: dict[Any, Any] = {}
    for key, child in _children(value):
        below = {path[1:]: tensor for path, tensor in new.items() if path[0] == key}
        if below:
            changed[key] = replaced(child, below)
    return _rebuilt(value, changed) if changed else value


def _is_one_argument(value: Any) -> bool:
    """Return True for (args, kwargs) with one tensor only, the arguments of most modules."""
    if type(value) is not tuple or [type(part) for part in value] != [tuple, dict]:
        return False
    args, keywords = value
    return not keywords and len(args) == 1 and isinstance(args[0], Tensor)


def label_of(value: Any, path: Path) -> str:
    """Return a path as text, such as ``0/logits``; fields of named tuples are shown by name."""
    labels: list[str] = []
    for key in path:
        fields = getattr(value, "_fields", None)
        labels.append(str(fields[key] if fields and isinstance(key, int) else key))
        value = dict(_children(value))[key]
    return "/".join(labels)


def packed_sequences(value: Any) -> dict[Path, PackedSequence]:
    """Return every packed sequence in a value by its path."""
    return dict(_walk(value, PackedSequence))


def _walk(value: Any, kind: type[_T], path: Path = ()) -> Iterator[tuple[Path, _T]]:
    if isinstance(value, kind):
        yield path, value
    for key, child in _children(value):
        yield from _walk(child, kind, (*path, key))


def _children(value: Any) -> list[tuple[Any, Any]]:
    if isinstance(value, Tensor):
        return []
    if isinstance(value, Mapping):
        return list(value.items())
    if isinstance(value, PackedSequence):
        return [(0, value.data)]  # other fields have the sizes and the order of rows
    if isinstance(value, tuple | list):
        return list(enumerate(value))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [(field.name, getattr(value, field.name)) for field in dataclasses.fields(value)]
    return []


def _main(value: Any) -> tuple[Path, Tensor] | None:
    if isinstance(value, Tensor):
        return (), value
    children = dict(_children(value))
    listed = isinstance(value, tuple | list)
    for key in () if listed else _MAIN_KEYS:
        if isinstance(children.get(key), Tensor):
            return (key,), children[key]
    integer: tuple[Path, Tensor] | None = None
    for key, child in children.items():
        if main := _main(child):
            path, tensor = (key, *main[0]), main[1]
            if listed or tensor.is_floating_point():
                return path, tensor
            integer = integer or (path, tensor)
    return integer


def _rebuilt(value: Any, changed: Mapping[Any, Any]) -> Any:
    if isinstance(value, tuple | list):
        items = [changed.get(index, item) for index, item in enumerate(value)]
        return value._make(items) if hasattr(value, "_make") else type(value)(items)  # pyright: ignore[reportAttributeAccessIssue]
    copied: Any = copy.copy(value)
    for key, item in changed.items():
        if isinstance(value, Mapping):
            copied[key] = item
        else:
            object.__setattr__(copied, key, item)  # a frozen dataclass too
    return copied
