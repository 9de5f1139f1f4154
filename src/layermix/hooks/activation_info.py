"""Find the batch dimension of each tensor in an activation.

It is the dimension whose size equals the batch size in two passes with different batch sizes. In
the main tensor (see `nested.py`) it must be dimension 0 or `batch_dim`. In other floating-point
tensors it may be any dimension; dimension 0 may also have several rows for each example (heads).
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import torch
from torch import Tensor

from layermix.errors import InputError
from layermix.hooks.masks import is_mask
from layermix.hooks.nested import Path, leaves


class TensorInfo(NamedTuple):
    """Shape and dtype of a tensor, and its layout if it is not dense."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    irregular: str | None  # "nested" or "sparse"; None for a dense tensor


class ActivationInfo(NamedTuple):
    """The type of a module's input or output, and the `TensorInfo` of each tensor in it."""

    kind: str  # name of the type
    tensors: dict[Path, TensorInfo]  # the main tensor first

    @property
    def main(self) -> Path:
        """The path of the main tensor, whose mixing determines the label weights."""
        return next(iter(self.tensors))

    def shape(self, path: Path) -> tuple[int, ...]:
        """Return the shape of the tensor at a path, or () if there is no such tensor."""
        return self.tensors[path].shape if path in self.tensors else ()

    def example(self, batch_dim: int) -> tuple[int, ...]:
        """Return the shape of the main tensor without its batch dimension."""
        shape = self.shape(self.main)
        return shape[:batch_dim] + shape[batch_dim + 1 :]


def info_of(value: Any) -> ActivationInfo:
    """Return the type of a value, and the shapes and dtypes of the tensors in it."""
    tensors: dict[Path, TensorInfo] = {}
    with suppress(InputError):  # there is no tensor
        for path, tensor in leaves(value).items():
            sparse = None if tensor.layout == torch.strided else "sparse"
            irregular = "nested" if tensor.is_nested else sparse
            tensors[path] = TensorInfo(shape_of(tensor), tensor.dtype, irregular)
    return ActivationInfo(type(value).__name__, tensors)


def shape_of(tensor: Tensor) -> tuple[int, ...]:
    """Return the shape of a tensor, or only the size of dimension 0 if the tensor is nested."""
    return (tensor.size(0),) if tensor.is_nested else tuple(tensor.shape)


def tensor_dims(
    infos: Sequence[ActivationInfo], batches: Sequence[int], batch_dim: int
) -> dict[Path, int | None]:
    """Return the batch dimension of each tensor path; None if the tensor has no batch dimension."""
    if not infos or not all(info.tensors for info in infos):
        return {}
    found: dict[Path, int | None] = {}
    for path in infos[0].tensors:
        dims = _following(path, infos, batches)
        if path == infos[0].main:
            found[path] = next((dim for dim in (batch_dim, 0) if dim in dims), None)
        elif len(dims) == 1 or (dims and len(batches) == 1):
            found[path] = dims[0]
        else:
            found[path] = _folded(path, infos, batches)
    return found


def activation_obstacle(
    infos: Sequence[ActivationInfo], batches: Sequence[int], batch_dim: int
) -> str | None:
    """Return the reason why an activation cannot be mixed, or None if it can be mixed."""
    for batch, info in zip(batches, infos, strict=True):
        if not info.tensors:
            return f"its output is of type {info.kind}, without a tensor to mix"
        shape, dtype, irregular = info.tensors[info.main]
        if irregular:
            return (
                f"its activation is a {irregular} tensor, but mixing needs a dense one: mix at a "
                "point after the layer that returns dense activations"
            )
        if not dtype.is_floating_point:
            return _wrong_dtype(dtype)
        if batch not in shape[batch_dim : batch_dim + 1] + shape[:1]:
            dims = _following(info.main, infos, batches) if len(batches) > 1 else []
            hint = "; if the batch is dimension {0} in the whole model, pass batch_dim={0}"
            return _wrong_batch(shape, batch, batch_dim) + (hint.format(dims[0]) if dims else "")
    main = infos[0].main
    if tensor_dims(infos, batches, batch_dim)[main] is None:
        return _wrong_batch(infos[0].shape(main), batches[0], batch_dim)
    return _unclear(infos, batches)


def _folded(path: Path, infos: Sequence[ActivationInfo], batches: Sequence[int]) -> int | None:
    """Return 0 if dimension 0 has the same number of rows for each example, else None."""
    shapes = [info.shape(path) for info in infos]
    if not all(shapes) or len({shape[1:] for shape in shapes}) > 1:
        return None
    rows = {shape[0] / batch for shape, batch in zip(shapes, batches, strict=True)}
    return 0 if len(rows) == 1 and rows.pop().is_integer() else None


def _following(path: Path, infos: Sequence[ActivationInfo], batches: Sequence[int]) -> list[int]:
    """Return the dimensions of a tensor whose size equals the batch size in every pass."""
    sizes = zip(*(info.shape(path) for info in infos), strict=False)
    return [dim for dim, each in enumerate(sizes) if each == tuple(batches)]


def _wrong_batch(shape: tuple[int, ...], batch: int, batch_dim: int) -> str:
    which = {0: "first", 1: "second"}.get(batch_dim, f"{batch_dim + 1}th")
    return (
        f"its output has shape {shape} for a batch of {batch}, so its {which} dimension is not "
        "the batch"
    )


def _unclear(infos: Sequence[ActivationInfo], batches: Sequence[int]) -> str | None:
    """Return a message if a tensor other than the main one has no clear batch dimension."""
    for path, tensor in infos[0].tensors.items():
        if path == infos[0].main or is_mask(path) or not tensor.dtype.is_floating_point:
            continue
        shapes = [info.shape(path) for info in infos if path in info.tensors]
        found = len(_following(path, infos, batches)) == 1
        if len(set(shapes)) > 1 and not found and _folded(path, infos, batches) is None:
            name = "/".join(map(str, path))
            return (
                f"its other tensor {name!r} has the shapes {' and '.join(map(str, shapes))} for "
                f"batches of {' and '.join(map(str, batches))}, so that no single dimension is "
                "the batch"
            )
    return None


def _wrong_dtype(dtype: torch.dtype) -> str:
    if dtype.is_complex:
        return f"its values are complex ({dtype}), but mixing needs floating point"
    if dtype == torch.uint8:
        return (
            f"its values are integers ({dtype}) such as the bytes of images, which cannot be "
            "mixed: convert them with .float() first"
        )
    return (
        f"its values are integers ({dtype}) such as token ids, which cannot be mixed: mix after "
        "the embedding or a block instead"
    )
