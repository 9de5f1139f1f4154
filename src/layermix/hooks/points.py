"""List the mix points of a model, with what one forward pass shows about each."""

from collections.abc import Collection

from torch import nn

from layermix.hooks.batch import Batch
from layermix.hooks.blocks import repeated_blocks
from layermix.hooks.mixpoint import Kind, MixPoint, Points
from layermix.hooks.probe import Probe
from layermix.hooks.sites import as_module, unwrap


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
        List every module, those too that cannot be mixed, with the reason. Otherwise the input,
        the repeated blocks or stages (siblings of one kind, each with two or more layers that have
        parameters), the final layer and the logits.
    batch_dim
        Dimension of `x` along which the examples lie, 1 for models whose batch is second.

    Returns
    -------
    Points
        Rows in the order of the module tree; those that cannot be mixed have an obstacle. A point
        that something of an example goes round, such as a skip connection, has one too; its `cut`
        is the share that does.
    """
    return table_of(model, x, all=all, batch_dim=batch_dim)


def table_of(
    model: nn.Module,
    x: Batch,
    *,
    all: bool = False,
    batch_dim: int = 0,
    measured: Collection[str] | None = None,
) -> Points:
    """List the mix points of a model; see `points`.

    Parameters
    ----------
    model, x, all, batch_dim
        As for `points`.
    measured
        Points of which it is measured whether they are cuts, by default all. It takes a few passes
        for the default candidates together, and one pass for each other module.
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
    return Points(row for row in rows if all or row.obstacle is None)


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
