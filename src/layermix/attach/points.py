"""List the mix points of a model, with what one forward pass shows about each."""

from collections.abc import Sequence

from torch import nn

from layermix.attach.batch import Batch
from layermix.attach.blocks import repeated_blocks
from layermix.attach.head import has_head
from layermix.attach.mixpoint import Kind, MixPoint, Points
from layermix.attach.probe import Probe
from layermix.attach.site import Site, find, unwrap


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
        Rows in the order of the module tree; those that cannot be mixed have an obstacle.
    """
    model = unwrap(model)
    blocks = repeated_blocks(model)
    names = [name for name, _ in model.named_modules() if name] if all else blocks
    kinds: list[tuple[str, Kind]] = [(n, "block" if n in blocks else "module") for n in names]
    rows: Sequence[tuple[Site, Kind]] = [
        (find(model, "input"), "input"),
        *((find(model, name), kind) for name, kind in kinds),
        *((find(model, "final"), "final") for _ in range(has_head(model))),
        (find(model, "logits"), "logits"),
    ]
    probe = Probe(model, [site for site, _ in rows], x, batch_dim)
    found = [_row(site, kind, probe) for site, kind in rows]
    return Points(row for row in found if all or row.obstacle is None)


def _row(site: Site, kind: Kind, probe: Probe) -> MixPoint:
    module = type(site.module).__name__
    shape, obstacle = probe.shape(site.name), probe.obstacle(site.name)
    return MixPoint(site.name, kind, module, shape, obstacle, probe.channels(site.name))
