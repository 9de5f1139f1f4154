"""Which inputs are lengths: vectors that select positions of the main input, as a probe sees it.

A vector holds lengths if positions behind them do not reach the output, and do reach it when the
lengths cover them. Their names decide only if the model cannot be asked.

Shapes: n examples, T positions.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from layermix.errors import InputError
from layermix.hooks.batch import Inputs, as_inputs
from layermix.hooks.deterministic import noise
from layermix.hooks.masks import Role, is_companion, name_at, parameter_names, role_of
from layermix.hooks.nested import Path, leaves, replaced
from layermix.hooks.passes import Passes
from layermix.hooks.rotation import distances

_LEAST = 4  # positions


def input_roles(passes: Passes) -> dict[Path, Role | None]:
    """Return masks and lengths among the inputs by their paths; None for other inputs.

    Parameters
    ----------
    passes
        Passes of the model.
    """
    tensors, names = leaves(passes.inputs), parameter_names(type(passes.model))
    main, *others = tensors
    roles: dict[Path, Role | None] = {}
    for path in others:
        tensor, role = tensors[path], role_of(name_at(path, names))
        if passes.dims.get(path) is None:
            continue
        if role != "mask" and is_companion(tensor, passes.sizes[0]):
            seen = _selects(passes, main, path)
            by_name = role is not None and not tensor.is_floating_point()
            selects = by_name if seen is None else seen or by_name
            role = "lengths" if selects else None
        elif role == "lengths":
            role = None
        elif name_at(path, names).endswith("mask") and tensor.is_floating_point():
            role = "mask"  # factors of 0 and 1, or terms of 0 and -inf: the larger one attends
        roles[path] = role
    return roles


def _selects(passes: Passes, main: Path, path: Path) -> bool | None:
    """Return True if an input selects positions of the main one; None if that cannot be seen."""
    values, lengths = leaves(passes.inputs)[main], leaves(passes.inputs)[path]
    if not values.is_floating_point() or values.is_meta or values.layout != torch.strided:
        return None
    seen: bool | None = False
    for dim in _position_dims(passes, values, lengths, passes.dims[main] or 0):
        size = 1.0 if _is_relative(lengths) else values.shape[dim]
        short = lengths.clamp(max=size / 2 if lengths.is_floating_point() else size // 2)
        try:
            hidden = _reaches(passes, main, dim, _with(passes, path, short))
            full = torch.full_like(lengths, size)
            if not hidden and _reaches(passes, main, dim, _with(passes, path, full)):
                return True
        except InputError:
            seen = None
    return seen


def _position_dims(
    passes: Passes, values: Tensor, lengths: Tensor, batch_dim: int
) -> Iterator[int]:
    """Yield the dimensions of the main input that the lengths may count."""
    relative = _is_relative(lengths)
    if bool((lengths < 0).any()):
        return
    for dim, size in enumerate(values.shape):
        if dim != batch_dim and size >= _LEAST and (relative or int(lengths.max()) <= size):
            yield dim


def _is_relative(lengths: Tensor) -> bool:
    """Return True for lengths relative to that of the longest example."""
    return lengths.is_floating_point() and bool((lengths <= 1).all())


def _with(passes: Passes, path: Path, lengths: Tensor) -> Inputs:
    return as_inputs(replaced(passes.inputs, {path: lengths}))


def _reaches(passes: Passes, main: Path, dim: int, inputs: Inputs) -> bool:
    """Return True if the last quarter of the positions changes the output."""
    values = leaves(inputs)[main]
    size = values.shape[dim]
    tail = torch.arange(size, device=values.device) >= size - size // 4
    tail = tail.view(-1, *[1] * (values.ndim - dim - 1))
    before = leaves(passes.run(inputs))
    moved = torch.where(tail, values + noise(values.shape).to(values) * values.std(), values)
    after = leaves(passes.run(as_inputs(replaced(inputs, {main: moved}))))
    dims: dict[Path, int | None] = dict.fromkeys(before, 0)
    one, other = ({p: t.reshape(1, -1) for p, t in found.items()} for found in (before, after))
    return any(True for _ in distances(one, other, dims, 0, 1))
