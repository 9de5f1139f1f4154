"""A batch of examples, in the ways in which models are called: one tensor, several, or by name.

Shapes: B examples, along the first dimension or along the one that is declared as `batch_dim`
(1 for `nn.LSTM` and `nn.Transformer` as torch builds them).
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from torch import Tensor, nn

from layermix.attach.masks import is_mask
from layermix.attach.structure import Path, leaves, replace
from layermix.errors import InputError

Batch = Tensor | Mapping[str, Any] | tuple[Any, ...] | list[Any]
"""A batch of examples: what a model is called with, several such, or its inputs by name."""


def call(model: nn.Module, x: Batch) -> Any:
    """Call a model on a batch: ``model(x)``, ``model(**x)`` by name, ``model(*x)`` for several."""
    if isinstance(x, Mapping):
        return model(**x)
    return model(*x) if isinstance(x, tuple | list) else model(x)


def batch_size(x: Batch, batch_dim: int = 0) -> int:
    """Return the number of examples in a batch."""
    if isinstance(x, Tensor) and x.ndim > batch_dim:
        return x.shape[batch_dim]
    for path, tensor in _tensors(x).items():
        dim = 0 if is_mask(path) else batch_dim
        if tensor.ndim > dim:
            return tensor.shape[dim]
    shapes = [tuple(tensor.shape) for tensor in _tensors(x).values()]
    raise InputError(
        f"the batch has tensors of shape {shapes}, none of which has its examples along "
        f"dimension {batch_dim}"
    )


def checked(batch_dim: int) -> int:
    """Return the number of a dimension, or raise an `InputError` when it is none."""
    if isinstance(batch_dim, int) and not isinstance(batch_dim, bool) and batch_dim >= 0:
        return batch_dim
    raise InputError(
        f"batch_dim is {batch_dim!r}, but must be a dimension counted from the front: 0, 1, ..."
    )


def first(x: Batch, size: int, batch_dim: int = 0) -> Batch:
    """Return the first examples of a batch."""
    return edit_batch(x, lambda tensor: tensor[:size], batch_dim)


def edit_batch(x: Batch, edit: Callable[[Tensor], Tensor], batch_dim: int = 0) -> Batch:
    """Return a batch with every tensor edited that holds something for each example.

    `edit` gets and returns them with the examples along their first dimension.
    """
    dims = _batch_dims(x, batch_dim)
    tensors = _tensors(x)
    new = {p: edit(tensors[p].movedim(dim, 0)).movedim(0, dim) for p, dim in dims}
    return replace(x, new)


def described(x: Batch) -> str:
    """Return a batch in words: its shape, or the shape of each input."""
    if isinstance(x, Mapping):
        return ", ".join(f"{k} {tuple(getattr(v, 'shape', ()))}" for k, v in x.items())
    if isinstance(x, tuple | list):
        return "shapes " + ", ".join(str(tuple(getattr(v, "shape", ()))) for v in x)
    return f"shape {tuple(x.shape)}"


def _batch_dims(x: Batch, batch_dim: int) -> Iterator[tuple[Path, int]]:
    """Yield the tensors that hold something for each example, and the dimension of the batch."""
    size = batch_size(x, batch_dim)
    for path, tensor in _tensors(x).items():
        likely = (0,) if is_mask(path) else (batch_dim, 0)
        dims = [dim for dim in likely if tensor.ndim > dim and tensor.shape[dim] == size]
        if dims:
            yield path, dims[0]


def _tensors(x: Batch) -> dict[Path, Tensor]:
    try:
        return leaves(x)
    except InputError:
        has = f"has the entries {sorted(x)}" if isinstance(x, Mapping) else f"is {x!r:.80}"
        raise InputError(
            f"the batch {has}, none of which is a tensor: it needs at least one "
            "with the examples along its first dimension"
        ) from None
