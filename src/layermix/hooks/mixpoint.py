"""What a mix point is, the table of them, and the ways in which they may be named."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, nn

from layermix.errors import InputError, brief
from layermix.hooks.channels import Channels

_NO_BLOCKS = """
Nothing in this model repeats (siblings of one kind, each of two layers or more), so no hidden
point is a default candidate. Any module's path can be named: all=True (--all) lists them."""

Kind = Literal["input", "block", "module", "final", "logits"]


@dataclass(frozen=True)
class MixPoint:
    """A place in a model where mixing can happen, or cannot.

    Attributes
    ----------
    name
        What `Mixer` takes as `at`.
    kind
        ``"input"``, ``"block"`` (a default candidate), ``"module"``, ``"final"``, ``"logits"``.
    module
        Class of the module.
    shape
        Shape of one example's activation, without the batch; None when it is not one tensor.
    obstacle
        Why it cannot be mixed; None when it can.
    channels
        Where the channels of a batch are: 1 in maps, -1 in tokens; None where it cannot be mixed.
    cut
        The share of an example that goes round the point, in [0, 1]; 0 for a cut of the network,
        None if it was not measured.
    """

    name: str
    kind: Kind
    module: str
    shape: tuple[int, ...] | None
    obstacle: str | None = None
    channels: Channels | None = None
    cut: float | None = None


class Points(tuple[MixPoint, ...]):
    """A sequence of mix points that prints as a table."""

    __slots__ = ()

    @property
    def names(self) -> list[str]:
        """The names of the points that can be mixed."""
        return [row.name for row in self if row.obstacle is None]

    @property
    def blocks(self) -> list[str]:
        """The names of the default hidden candidates: repeated blocks or stages."""
        return [row.name for row in self if row.kind == "block" and row.obstacle is None]

    def __str__(self) -> str:
        rows = [("mix point", "kind", "module", "shape of one example")]
        rows += [(r.name, r.kind, r.module, r.obstacle or _times(r.shape)) for r in self]
        widths = [max(len(row[column]) for row in rows) for column in range(3)]
        lines = ["  ".join([*map(str.ljust, row[:3], widths), row[3]]) for row in rows]
        if not any(row.kind in ("block", "module") for row in self):
            lines.append(_NO_BLOCKS)
        return "\n".join(line.rstrip() for line in lines)


def names_of(at: str | MixPoint | Iterable[str | MixPoint]) -> tuple[str, ...]:
    """Return the names of one mix point, or of several, however they were given.

    Raises
    ------
    InputError
        For anything that is neither a name, a `MixPoint` nor an iterable of these.
    """
    if isinstance(at, Points):
        return tuple(at.names)
    several: list[Any] = [at]
    if isinstance(at, Iterable) and not isinstance(at, str | MixPoint | nn.Module | Tensor):
        several = list(at)
    for one in several:
        if not isinstance(one, str | MixPoint):
            raise InputError(
                f"a mix point is {brief(one)}, but must be a name such as 'input', 'final', "
                "'logits' or a module's path, or a row of layermix.points(model, x)"
            )
    return tuple(one.name if isinstance(one, MixPoint) else one for one in several)


def _times(shape: tuple[int, ...] | None) -> str:
    return " × ".join(map(str, shape)) if shape else "scalar"
