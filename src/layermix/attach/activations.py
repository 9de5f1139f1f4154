"""Read what flows at mix points: their features, detached, from one forward pass in eval mode."""

from collections.abc import Iterable

from torch import Tensor, nn

from layermix.attach.batch import Batch
from layermix.attach.mixpoint import MixPoint, names_of
from layermix.attach.observe import observe
from layermix.attach.probe import Probe
from layermix.attach.site import find, unwrap
from layermix.attach.structure import main_tensor
from layermix.errors import InputError


def activations(
    model: nn.Module,
    x: Batch,
    points: str | MixPoint | Iterable[str | MixPoint],
    *,
    batch_dim: int = 0,
) -> dict[str, Tensor]:
    """Return the activations of a batch at mix points, from one forward pass in eval mode.

    Parameters
    ----------
    model
        Any model; it is left as it was, mode and random state included.
    x
        A batch, shape (B, ...); a tuple of several inputs for ``model(*x)``, or a mapping of named
        ones for ``model(**x)``.
    points
        One mix point or several: names, or rows of `points`.
    batch_dim
        Dimension of `x` along which the examples lie, 1 for models whose batch is second.

    Returns
    -------
    dict
        For each point, by name, a detached tensor of shape (B, ...).
    """
    model = unwrap(model)
    seen: dict[str, Tensor] = {}
    sites = [find(model, point) for point in names_of(points)]
    observe(model, sites, x, lambda name, value: seen.update({name: main_tensor(value)}))
    missing = [site.name for site in sites if site.name not in seen]
    if missing:
        raise InputError(f"mix point {missing[0]!r} was not called in a forward pass of the model")
    if not batch_dim:
        return seen
    probe = Probe(model, sites, x, batch_dim)
    return {name: tensor.movedim(probe.batch_dim(name), 0) for name, tensor in seen.items()}
