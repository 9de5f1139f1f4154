"""Functions for a batch: one input tensor, a tuple of inputs, or a mapping of inputs by name."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from torch import Tensor, nn

from layermix.errors import InputError, brief
from layermix.hooks.activation_info import shape_of
from layermix.hooks.masks import is_mask
from layermix.hooks.nested import Path, leaves, packed_sequences, replaced

Batch = Tensor | Mapping[str, Any] | tuple[Any, ...] | list[Any]
"""The input of a model, a tuple or list of several inputs, or a mapping of inputs by name."""


class Inputs(NamedTuple):
    """The positional and keyword arguments of one call of a model."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]


def as_inputs(x: Batch) -> Inputs:
    """Return the arguments of the call: ``model(x)``, ``model(*x)`` or ``model(**x)``."""
    if isinstance(x, Inputs):
        return x
    if isinstance(x, Mapping):
        return Inputs((), dict(x))
    if isinstance(x, tuple | list) and not hasattr(x, "batch_sizes"):  # not a packed sequence
        return Inputs(tuple(x), {})
    return Inputs((x,), {})


def call(model: nn.Module, x: Batch) -> Any:
    """Call a model on a batch, and return its output."""
    args, kwargs = as_inputs(x)
    return model(*args, **kwargs)


def batch_size(x: Batch, batch_dim: int = 0) -> int:
    """Return the number of examples in a batch."""
    if isinstance(x, Tensor) and not x.is_nested and x.ndim > batch_dim:
        return x.shape[batch_dim]
    for packed in packed_sequences(x).values():
        return int(packed.batch_sizes[0])
    shapes = {path: shape_of(tensor) for path, tensor in tensors_of(x).items()}
    for path, shape in shapes.items():
        dim = 0 if is_mask(path) else batch_dim
        if len(shape) > dim:
            return shape[dim]
    raise InputError(
        f"the batch has tensors of shape {[*shapes.values()]}, but none has its examples along "
        f"dimension {batch_dim}: pass another batch_dim"
    )


def lengths_of(x: Batch) -> set[int]:
    """Return the possible batch sizes of a ragged batch: the lengths of its lists and tensors."""
    _, *others = map(shape_of, tensors_of(x).values())
    return {len(one) for one in _lists(x)} | {shape[0] for shape in others if shape}


def has_ragged_list(x: Batch) -> bool:
    """Return True if an input is a list of tensors of different lengths."""
    return any(
        len({shape_of(t)[:1] for t in one if isinstance(t, Tensor)}) > 1
        for one in _lists(x)
        if not packed_sequences(one)
    )


def _lists(x: Batch) -> list[Sequence[Any]]:
    args, kwargs = as_inputs(x)
    return [value for value in (*args, *kwargs.values()) if isinstance(value, tuple | list)]


def checked(batch_dim: int) -> int:
    """Return `batch_dim`, or raise an `InputError` if it is not an integer >= 0."""
    if isinstance(batch_dim, int) and not isinstance(batch_dim, bool) and batch_dim >= 0:
        return batch_dim
    raise InputError(
        f"batch_dim is {brief(batch_dim)}, but must be a dimension counted from the front: 0, "
        "1, ..."
    )


def first(x: Batch, size: int, batch_dim: int = 0) -> Batch:
    """Return a batch of the first `size` examples."""
    return edit_batch(x, lambda tensor: tensor[:size], batch_dim)


def edit_batch(x: Batch, edit: Callable[[Tensor], Tensor], batch_dim: int = 0) -> Batch:
    """Apply `edit` to each tensor that has a batch dimension, which is moved to dimension 0."""
    tensors = tensors_of(x)
    new = {
        path: edit(tensors[path].movedim(dim, 0)).movedim(0, dim)
        for path, dim in likely_dims(x, batch_dim).items()
    }
    return replaced(x, new)


def described(x: Batch) -> str:
    """Return the shapes of the inputs in a batch as text."""
    if isinstance(x, Tensor):
        return f"shape {shape_of(x)}"
    args, kwargs = as_inputs(x)
    named = [f"{name} {_shape(value)}" for name, value in kwargs.items()]
    if len(args) == 1 and not named:
        return f"shape {_shape(args[0])}"
    unnamed = ["shapes " + ", ".join(_shape(value) for value in args)] if args else []
    return ", ".join([*unnamed, *named])


def likely_dims(x: Batch, batch_dim: int = 0) -> dict[Path, int]:
    """Guess each tensor's batch dimension from its shape; leave out tensors that have none."""
    size = batch_size(x, batch_dim)
    found: dict[Path, int] = {}
    for path, tensor in tensors_of(x).items():
        shape = shape_of(tensor)
        for dim in (0,) if is_mask(path) else (batch_dim, 0):
            if shape[dim : dim + 1] == (size,):
                found[path] = dim
                break
    return found


def tensors_of(x: Batch) -> dict[Path, Tensor]:
    """Return all tensors in a batch by path, the main tensor first (see `nested.py`)."""
    try:
        return leaves(x)
    except InputError:
        if isinstance(x, Mapping):
            has = f"has the entries {sorted(map(str, x))}"
        else:
            has = f"is of type {_kind(x)}"
        raise InputError(
            f"the batch {has}, none of which is a tensor: convert it with torch.as_tensor, with "
            "the examples along the first dimension"
        ) from None


def _shape(value: Any) -> str:
    return str(shape_of(value)) if isinstance(value, Tensor) else "()"


def _kind(x: Any) -> str:
    if isinstance(x, tuple | list):
        kinds = dict.fromkeys(type(item).__name__ for item in x)
        return f"{type(x).__name__} of {', '.join(kinds) or 'nothing'}"
    return type(x).__name__  # not the contents, which may be long
