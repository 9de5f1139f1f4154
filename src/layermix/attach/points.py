"""List the mix points of a model, with what one forward pass shows about each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from layermix.attach.blocks import repeated_blocks
from layermix.attach.probe import Probe
from layermix.attach.site import Site, find, find_head, unwrap
from layermix.errors import InputError

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
    """

    name: str
    kind: Kind
    module: str
    shape: tuple[int, ...] | None
    obstacle: str | None = None


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
        return "\n".join(line.rstrip() for line in lines)


def points(model: nn.Module, x: Tensor, *, all: bool = False) -> Points:
    """List the mix points of a model.

    Parameters
    ----------
    model
        Any model; it is left as it was.
    x
        A batch, shape (B, ...), of which at most three examples are used.
    all
        List every module, those too that cannot be mixed, with the reason. Otherwise the input,
        the repeated blocks or stages, the final layer and the logits.

    Returns
    -------
    Points
        Rows in the order of the module tree; those that cannot be mixed have an obstacle.
    """
    model = unwrap(model)
    blocks = repeated_blocks(model)
    names = [name for name, _ in model.named_modules() if name] if all else blocks
    kinds: list[tuple[str, Kind]] = [(n, "block" if n in blocks else "module") for n in names]
    rows: Sequence[tuple[Site, Kind]] = [
        (find(model, "input"), "input"),
        *((find(model, name), kind) for name, kind in kinds),
        *((find(model, "final"), "final") for _ in range(_has_head(model))),
        (find(model, "logits"), "logits"),
    ]
    probe = Probe(model, [site for site, _ in rows], x)
    found = [_row(site, kind, probe) for site, kind in rows]
    return Points(row for row in found if all or row.obstacle is None)


def _row(site: Site, kind: Kind, probe: Probe) -> MixPoint:
    module = type(site.module).__name__
    return MixPoint(site.name, kind, module, probe.shape(site.name), probe.obstacle(site.name))


def _has_head(model: nn.Module) -> bool:
    try:
        find_head(model)
    except InputError:
        return False
    return True


def _times(shape: tuple[int, ...] | None) -> str:
    return " × ".join(map(str, shape)) if shape else "scalar"
