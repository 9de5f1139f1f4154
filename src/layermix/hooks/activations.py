"""Read what flows at mix points: their features, detached, from one forward pass in eval mode."""

from collections.abc import Iterable

from torch import Tensor, nn

from layermix.errors import InputError
from layermix.hooks.batch import Batch
from layermix.hooks.mixpoint import MixPoint, names_of
from layermix.hooks.nested import main_tensor
from layermix.hooks.observe import observe
from layermix.hooks.probe import Probe
from layermix.hooks.sites import as_module, find, unwrap


def activations(
    model: nn.Module,
    x: Batch,
    at: str | MixPoint | Iterable[str | MixPoint],
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
    at
        One mix point or several: names, or rows of `points`.
    batch_dim
        Dimension of `x` along which the examples lie, 1 for models whose batch is second.

    Returns
    -------
    dict
        For each point, by name, a detached tensor of shape (B, ...).
    """
    model, names = unwrap(as_module(model)), names_of(at)
    probe = (
        Probe(model, names, x, batch_dim, measured=()) if batch_dim or "final" in names else None
    )
    seen: dict[str, Tensor] = {}
    sites = list(probe.sites.values()) if probe else [find(model, name) for name in names]
    observe(model, sites, x, lambda name, value: seen.update({name: main_tensor(value)}))
    if missing := [name for name in names if name not in seen]:
        why = probe.obstacle(missing[0]) if probe else None
        why = why or "it was not called in a forward pass of the model"
        raise InputError(f"mix point {missing[0]!r} has no activations: {why}")
    if probe is None or not batch_dim:
        return {name: seen[name] for name in names}
    return {name: seen[name].movedim(probe.batch_dim(name), 0) for name in names}
