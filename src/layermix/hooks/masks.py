"""Attention masks and lengths, which select positions of the main tensor.

A mixed example has the union of both masks (a position counts if it counts for either example), and
the longer of both lengths. Masks have shapes such as (B, L) or (B, 1, L, L). In masks of booleans
or of 0 and 1, one means "attend"; if the name ends with `padding_mask`, one means "ignore". Masks
of floats are added to the attention scores: 0 attends, -inf ignores. Lengths, (B,) or (B, 1), are
integers, or floats that are fractions of the longest length.
"""

import functools
import inspect
import re
from collections.abc import Callable
from typing import Any, Literal

from torch import Tensor, nn

from layermix.hooks.nested import Path
from layermix.mixing import Plan

Role = Literal["mask", "lengths"]

Unite = Callable[[Role, str, Tensor, Plan], Tensor]
"""A function of role, name, tensor and plan, which returns the mask or lengths after mixing."""

_MASKS = ("attention_mask", "padding_mask")  # suffixes of their names
_LENGTHS = re.compile(r"(.*_)?(len|lens|length|lengths|seqlen|seqlens)")


def role_of(name: str) -> Role | None:
    """Infer the role of a tensor from its name: ``"mask"``, ``"lengths"``, or None."""
    if name.endswith(_MASKS):
        return "mask"
    return "lengths" if _LENGTHS.fullmatch(name) else None


def is_mask(path: Path) -> bool:
    """Return True if the tensor at a path has the name of an attention mask."""
    return bool(path) and role_of(str(path[-1])) == "mask"


def name_at(path: Path, names: tuple[str, ...] = ()) -> str:
    """Return the name of the tensor at a path; positional arguments are named by `names`."""
    if names and len(path) == 2 and path[0] == 0 and path[1] < len(names):
        return names[path[1]]
    return str(path[-1]) if path else ""


@functools.cache
def parameter_names(kind: type[nn.Module]) -> tuple[str, ...]:
    """Return the names of the positional parameters of a class's `forward` method."""
    try:
        parameters = list(inspect.signature(kind.forward).parameters.values())[1:]  # without self
    except (TypeError, ValueError):
        return ()
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return tuple(p.name for p in parameters if p.kind in positional)


@functools.cache
def mask_parameters(kind: type[nn.Module]) -> tuple[tuple[int, str, Role], ...]:
    """Return (index, name, role) of each mask or lengths parameter of a class's `forward`."""
    return tuple(
        (place, name, role)
        for place, name in enumerate(parameter_names(kind))
        if (role := role_of(name)) is not None
    )


def united(role: Role, name: str, own: Tensor, plan: Plan) -> Tensor:
    """Return the union of each example's mask and its partner's, or the longer of two lengths."""
    if own.shape[:1] != (plan.batch_size,):
        return own  # without a batch dimension, such as a causal mask (L, L)
    other = plan.of_partners(own)
    return own.minimum(other) if role == "mask" and marks_ignored(name, own) else own.maximum(other)


def marks_ignored(name: str, mask: Tensor) -> bool:
    """Return True if ones in a mask mean that a position is ignored, as in a `padding_mask`."""
    return name.endswith("padding_mask") and not mask.is_floating_point()


def is_companion(value: Any, batch: int) -> bool:
    """Return True for a numeric tensor (B,) or (B, 1), which may be the lengths of the examples."""
    return (
        isinstance(value, Tensor)
        and value.shape in ((batch,), (batch, 1))
        and not value.is_complex()
        and value.dtype.itemsize > 1  # neither booleans nor bytes
    )
