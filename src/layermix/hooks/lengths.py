"""Find masks and lengths among the inputs of a model.

A vector (B,) has the lengths of the examples if its name says so (such as ``seq_lens``), or if
positions after these lengths do not affect the output.
"""

from contextlib import suppress

import torch
from torch import Tensor

from layermix.errors import InputError
from layermix.hooks.deterministic import noise
from layermix.hooks.masks import Role, is_companion, name_at, parameter_names, role_of
from layermix.hooks.nested import Path, leaves, replaced
from layermix.hooks.passes import Passes
from layermix.hooks.rotation import distances

_LEAST = 4  # positions


def input_roles(passes: Passes) -> dict[Path, Role | None]:
    """Return the role of each batched input by path: a mask, lengths, or None for other inputs."""
    tensors, names = leaves(passes.inputs), parameter_names(type(passes.model))
    main, *others = tensors
    roles: dict[Path, Role | None] = {}
    for path in others:
        tensor, role = tensors[path], role_of(name_at(path, names))
        if passes.dims.get(path) is None:
            continue
        if role != "mask" and is_companion(tensor, passes.sizes[0]):
            by_name = role is not None and not tensor.is_floating_point()
            role = "lengths" if by_name or _selects(passes, main, path) else None
        elif role == "lengths":
            role = None
        elif name_at(path, names).endswith("mask") and tensor.is_floating_point():
            role = "mask"  # factors 0 and 1, or terms 0 and -inf: the larger value attends
        roles[path] = role
    return roles


def _selects(passes: Passes, main: Path, path: Path) -> bool:
    values, lengths = leaves(passes.inputs)[main], leaves(passes.inputs)[path]
    if not values.is_floating_point() or values.is_meta or values.layout != torch.strided:
        return False
    if bool((lengths < 0).any()):
        return False
    floating = lengths.is_floating_point()
    relative = floating and bool((lengths <= 1).all())  # relative to the longest example
    for dim, count in enumerate(values.shape):
        too_long = not relative and int(lengths.max()) > count
        if dim == (passes.dims[main] or 0) or count < _LEAST or too_long:
            continue
        size = 1.0 if relative else count
        short = lengths.clamp(max=size / 2 if floating else size // 2)
        full = torch.full_like(lengths, size)
        with suppress(InputError):  # the model fails on such lengths
            reached = (_reaches(passes, main, dim, path, each) for each in (short, full))
            if not next(reached) and next(reached):
                return True
    return False


def _reaches(passes: Passes, main: Path, dim: int, path: Path, lengths: Tensor) -> bool:
    """Return True if noise in the last quarter of positions changes the output, given `lengths`."""
    inputs = replaced(passes.inputs, {path: lengths})
    values = leaves(inputs)[main]
    size = values.shape[dim]
    tail = torch.arange(size, device=values.device) >= size - size // 4
    tail = tail.view(-1, *[1] * (values.ndim - dim - 1))
    before = leaves(passes.run(inputs))
    moved = torch.where(tail, values + noise(values.shape).to(values) * values.std(), values)
    after = leaves(passes.run(replaced(inputs, {main: moved})))
    dims: dict[Path, int | None] = dict.fromkeys(before, 0)
    one, other = ({p: t.reshape(1, -1) for p, t in found.items()} for found in (before, after))
    return any(True for _ in distances(one, other, dims, 0, 1))
