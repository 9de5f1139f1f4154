"""List the mix points of a model: the input, blocks or any modules, the final layer, the logits."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal

from torch import Tensor, nn

from layermix.errors import InputError, brief, unknown
from layermix.hooks.batch import Batch
from layermix.hooks.blocks import repeated_blocks, token_embedding
from layermix.hooks.channels import Channels
from layermix.hooks.probe import Probe
from layermix.hooks.sites import as_module, unwrap

_NO_BLOCKS = """
This model has no repeated blocks (similar siblings with two or more layers each), so it has no
default hidden points. Any module path can be used: all=True (--all) lists them."""

Kind = Literal["input", "embedding", "block", "module", "final", "logits"]


@dataclass(frozen=True)
class MixPoint:
    """A mix point of a model, with the results of its probe; a row of the table of `points`.

    Attributes
    ----------
    name
        Value of `at` for `Mixer`.
    kind
        ``"input"``, ``"embedding"`` (of tokens, where the input cannot be mixed), ``"block"`` (a
        default point), ``"module"``, ``"final"`` or ``"logits"``.
    module
        Class of the module.
    shape
        Shape of one example's activation, without the batch; None if it is not one tensor.
    obstacle
        Reason why it cannot be mixed; None if it can.
    channels
        Dimension of the channels in a batch: 1 in maps, -1 in tokens; None if it cannot be mixed.
    cut
        Share of an example that bypasses it, in [0, 1]; 0 for a cut, None if it was not measured.

    Examples
    --------
    >>> import torch
    >>> final = points(nn.Sequential(nn.Flatten(), nn.Linear(4, 2)), torch.randn(3, 4))[1]
    >>> final.name, final.shape, final.module, final.cut
    ('final', (4,), 'Linear', 0.0)
    """

    name: str
    kind: Kind
    module: str
    shape: tuple[int, ...] | None
    obstacle: str | None = None
    channels: Channels | None = None
    cut: float | None = None


class Points(tuple[MixPoint, ...]):
    """A sequence of mix points that prints as a table.

    Examples
    --------
    >>> import torch
    >>> print(points(nn.Sequential(nn.Linear(4, 8), nn.Tanh()), torch.randn(3, 4), ["input", "0"]))
    mix point  kind    module      shape of one example
    input      input   Sequential  4
    0          module  Linear      8
    """

    __slots__ = ()

    @property
    def names(self) -> list[str]:
        """The names of the points that can be mixed."""
        return [row.name for row in self if row.obstacle is None]

    @property
    def first(self) -> str | None:
        """The name of the input or, if it has tokens, of their embedding; None if neither mixes."""
        kinds = ("input", "embedding")
        found = (row.name for row in self if row.kind in kinds and row.obstacle is None)
        return next(found, None)

    @property
    def blocks(self) -> list[str]:
        """The names of the repeated blocks or stages that can be mixed."""
        return [row.name for row in self if row.kind == "block" and row.obstacle is None]

    def __str__(self) -> str:
        rows = [("mix point", "kind", "module", "shape of one example")]
        for row in self:
            shape = " × ".join(map(str, row.shape or ())) or "scalar"
            rows.append((row.name, row.kind, row.module, row.obstacle or shape))
        widths = [max(len(row[column]) for row in rows) for column in range(3)]
        lines = ["  ".join([*map(str.ljust, row[:3], widths), row[3]]) for row in rows]
        if not any(row.kind in ("block", "module") for row in self):
            lines.append(_NO_BLOCKS)
        return "\n".join(line.rstrip() for line in lines)


def names_of(at: str | MixPoint | Iterable[str | MixPoint]) -> tuple[str, ...]:
    """Return the names of one mix point or of several, given as names or `MixPoint` objects."""
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


def points(
    model: nn.Module,
    x: Batch,
    at: str | MixPoint | Iterable[str | MixPoint] | None = None,
    *,
    all: bool = False,
    batch_dim: int = 0,
) -> Points:
    """List the mix points of a model.

    Parameters
    ----------
    model
        Any model; its state is restored.
    x
        Batch (B, ...), a tuple of inputs for ``model(*x)``, or a mapping of inputs for
        ``model(**x)``. At most three examples are used.
    at
        Mix points to list, including any module paths. Default: the input or, if it has tokens,
        their embedding; the repeated blocks or stages (similar siblings, each with two or more
        layers that have parameters), the final layer and the logits, if they can be mixed.
    all
        If True, list every module.
    batch_dim
        Dimension of the batch in `x`, 1 for models whose batch is second.

    Returns
    -------
    Points
        One row for each point, with an obstacle if it cannot be mixed or if part of an example
        bypasses it, such as by a skip connection. An unknown name raises an `InputError`.

    Examples
    --------
    >>> import torch
    >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    >>> points(model, torch.randn(8, 4)).names
    ['input', 'final', 'logits']
    >>> points(model, torch.randn(8, 4), "1")[0].cut
    0.0
    """
    return probed_points(model, x, at, all=all, batch_dim=batch_dim)[0]


def probed_points(
    model: nn.Module,
    x: Batch,
    at: str | MixPoint | Iterable[str | MixPoint] | None = None,
    *,
    all: bool = False,
    batch_dim: int = 0,
    measured: Collection[str] | None = None,
) -> tuple[Points, Probe]:
    """Return the mix points and their probe, which tests if the points in `measured` are cuts."""
    model = unwrap(as_module(model))
    default = default_points(model)
    kinds: dict[str, Kind] = {name: "module" for name, _ in model.named_modules() if name}
    kinds |= dict.fromkeys(repeated_blocks(model), "block")
    kinds = {"input": "input", **kinds, "final": "final", "logits": "logits"}
    names = list(kinds) if all else default
    if at is not None:
        names = names_of(at)
        if missing := [name for name in names if name not in kinds]:
            raise unknown("mix point", missing[0], kinds)
    probe = Probe(model, names, x, batch_dim, measured=measured, together=default)
    rows = [_row(model, name, kinds[name], probe) for name in names]
    if "input" in names and probe.obstacle("input"):
        token = token_embedding(model)
        rows = [replace(row, kind="embedding") if row.name == token else row for row in rows]
    elif at is None and not all:
        rows = [row for row in rows if row.kind != "module"]
    listed = all or at is not None
    return Points(row for row in rows if listed or row.obstacle is None), probe


def default_points(model: nn.Module) -> list[str]:
    """Return the default points of an unwrapped model, including those that cannot be mixed."""
    blocks, token = repeated_blocks(model), token_embedding(model)
    embedding = [token] if token and token not in blocks else []
    return ["input", *embedding, *blocks, "final", "logits"]


def _row(model: nn.Module, name: str, kind: Kind, probe: Probe) -> MixPoint:
    site = probe.sites.get(name)
    module = type(site.module if site else model).__name__
    shape = probe.shape(name) if site else None
    return MixPoint(
        name, kind, module, shape, probe.obstacle(name), probe.channels(name), probe.cut(name)
    )
