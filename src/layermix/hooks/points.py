"""List the mix points of a model; the default ones are its repeated blocks or stages.

Of all groups of similar siblings in the module tree, each with two or more layers that have
parameters, the group with the most such layers gives the blocks: the stages of a ResNet, the
blocks of a ViT, the layers of a BERT. Their outputs are never inside a residual branch.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, nn

from layermix.errors import InputError, brief
from layermix.hooks.batch import Batch
from layermix.hooks.channels import Channels
from layermix.hooks.probe import Probe
from layermix.hooks.sites import HEAD_NAMES, as_module, unwrap

_NO_BLOCKS = """
Nothing in this model repeats (siblings of one kind, each of two layers or more), so no hidden
point is a default candidate. Any module's path can be named: all=True (--all) lists them."""

Kind = Literal["input", "block", "module", "final", "logits"]


@dataclass(frozen=True)
class MixPoint:
    """A place in a model where mixing is possible or not.

    Attributes
    ----------
    name
        Value of `at` for `Mixer`.
    kind
        ``"input"``, ``"block"`` (a default candidate), ``"module"``, ``"final"``, ``"logits"``.
    module
        Class of the module.
    shape
        Shape of one example's activation, without the batch; None if it is not one tensor.
    obstacle
        Why it cannot be mixed; None if it can.
    channels
        Dimension of the channels in a batch: 1 in maps, -1 in tokens; None if it cannot be mixed.
    cut
        The share of an example that bypasses the point, in [0, 1]; 0 for a cut of the network,
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


def _times(shape: tuple[int, ...] | None) -> str:
    return " × ".join(map(str, shape)) if shape else "scalar"


def points(model: nn.Module, x: Batch, *, all: bool = False, batch_dim: int = 0) -> Points:
    """List the mix points of a model.

    Parameters
    ----------
    model
        Any model; it is left as it was.
    x
        A batch, shape (B, ...), of which at most three examples are used; a tuple of several
        inputs for ``model(*x)``, or a mapping of named ones for ``model(**x)``.
    all
        List every module, with the reason if it cannot be mixed. Otherwise the input, the repeated
        blocks or stages (siblings of one kind, each with two or more layers that have parameters),
        the final layer and the logits.
    batch_dim
        Dimension of `x` along which the examples lie, 1 for models whose batch is second.

    Returns
    -------
    Points
        Rows in the order of the module tree; those that cannot be mixed have an obstacle. A point
        that part of an example bypasses, by a skip connection for example, has one too; its `cut`
        is the share that does.
    """
    return probed_points(model, x, all=all, batch_dim=batch_dim)[0]


def probed_points(
    model: nn.Module,
    x: Batch,
    *,
    all: bool = False,
    batch_dim: int = 0,
    measured: Collection[str] | None = None,
) -> tuple[Points, Probe]:
    """Return the mix points of a model as `points` does, and their probe.

    Only `measured` points, by default all, are tested for being cuts. This takes a few passes for
    the default candidates together, and one pass for each other module.
    """
    model = unwrap(as_module(model))
    default = default_points(model)
    blocks = default[1:-2]
    names = [name for name, _ in model.named_modules() if name] if all else blocks
    kinds: dict[str, Kind] = {"input": "input"}
    kinds |= {name: "block" if name in blocks else "module" for name in names}
    kinds |= {"final": "final", "logits": "logits"}
    probe = Probe(model, kinds, x, batch_dim, measured=measured, together=default)
    rows = [_row(model, name, kind, probe) for name, kind in kinds.items()]
    return Points(row for row in rows if all or row.obstacle is None), probe


def default_points(model: nn.Module) -> list[str]:
    """Return the default candidates of an unwrapped model, whether or not they can be mixed."""
    return ["input", *repeated_blocks(model), "final", "logits"]


def _row(model: nn.Module, name: str, kind: Kind, probe: Probe) -> MixPoint:
    site = probe.sites.get(name)
    module = type(site.module if site else model).__name__
    shape = probe.shape(name) if site else None
    return MixPoint(
        name, kind, module, shape, probe.obstacle(name), probe.channels(name), probe.cut(name)
    )


Group = dict[str, nn.Module]  # module paths and modules


def repeated_blocks(model: nn.Module) -> list[str]:
    """Return the module paths of the repeated blocks, in the order of the module tree.

    If groups have equally many layers, the outermost one is used. The list may be empty.
    """
    modules = model.named_modules(remove_duplicate=False)
    levels = sorted(modules, key=lambda item: (item[0].count("."), item[0] != ""))
    groups = [group for path, module in levels for group in _alike(path, module)]
    return list(max(groups, key=lambda group: sum(map(_layers, group.values())), default={}))


def _alike(path: str, module: nn.Module) -> list[Group]:
    """Return the groups of alike, composite children, two or more each."""
    groups: defaultdict[object, Group] = defaultdict(dict)
    for name, child in module.named_children():
        kind = _kind(name, child, _is_container(module))
        if kind is not None and _layers(child) >= 2:
            groups[kind] |= _callable(_join(path, name), child)
    return [group for group in groups.values() if len(group) > 1]


def _kind(name: str, child: nn.Module, listed: bool) -> object:
    """Return the key under which siblings are alike; None for a child without such siblings.

    Items of a container are alike if they have one class. Attributes are alike if only the number
    in their names differs, as in `layer1` and `layer2`, or if they have one class of this network.
    """
    if listed:
        return type(child)
    if name.lower().startswith((*HEAD_NAMES, "aux")):
        return None
    if numbered := re.match(r"(\D*)\d", name):
        return numbered[1]
    return None if _is_container(child) else type(child)


def _callable(path: str, module: nn.Module) -> Group:
    """Return the module itself, or the composite items of a list, which is never called."""
    if type(module).forward is not nn.Module.forward:
        return {path: module}
    found: Group = {}
    for name, child in module.named_children():
        if _layers(child) >= 2:
            found |= _callable(_join(path, name), child)
    return found


def _is_container(module: nn.Module) -> bool:
    return isinstance(module, nn.Sequential | nn.ModuleList | nn.ModuleDict)


def _layers(module: nn.Module) -> int:
    """Return the number of layers that have parameters."""
    return sum(any(True for _ in m.parameters(recurse=False)) for m in module.modules())


def _join(path: str, name: str) -> str:
    return f"{path}.{name}".lstrip(".")
