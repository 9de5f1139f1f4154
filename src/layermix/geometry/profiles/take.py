"""Take a profile: choose examples, run the model over them once, measure layer by layer."""

import math
from collections.abc import Iterable, Mapping

from torch import Tensor, nn

from layermix.attach import MixPoint, Points
from layermix.attach import points as list_points
from layermix.attach.mixpoint import names_of
from layermix.attach.observe import first
from layermix.attach.site import unwrap
from layermix.errors import InputError, unknown
from layermix.geometry.gap import RATIOS, Gap, interpolation_gap
from layermix.geometry.layer import Layer
from layermix.geometry.measures import MEASURES
from layermix.geometry.profiles.examples import Data, Examples, collect, fewer
from layermix.geometry.profiles.features import (
    device_of,
    examples_that_fit,
    gathered,
    on_device,
)
from layermix.geometry.profiles.pooling import Pool, Pooling, norm_widths, pooling
from layermix.geometry.profiles.profile import LayerProfile, Profile
from layermix.geometry.profiles.progress import Bar
from layermix.geometry.quantities import QUANTITIES
from layermix.geometry.snnl import chance_level, layer_snnl

_KINDS = ("input", "block", "final", "logits")


def profile(
    model: nn.Module,
    data: Data,
    points: str | MixPoint | Iterable[str | MixPoint] | None = None,
    *,
    examples: int = 2000,
    mixed: int = 256,
    pool: Pool = "auto",
    ratios: tuple[float, ...] = RATIOS,
    batch_size: int = 128,
    memory: int = 2**30,
    seed: int = 0,
    progress: bool = True,
) -> Profile:
    """Measure every quantity at every layer of a model, in eval mode.

    One pass over the examples gives the features of all layers, which are then measured one layer
    after another, all on the same examples; the interpolation gap takes one more forward pass of
    some examples for each layer and ratio. Give data the model was not trained on.

    Parameters
    ----------
    model
        A classifier; it is left as it was, mode and random state included.
    data
        A pair (x, labels), a data set of them, or anything that yields batches, as a `DataLoader`
        does; x is a tensor or a mapping of named inputs, which may hold an ``attention_mask``.
    points
        Mix points; the input, each default block, the final layer and the logits when left out.
    examples
        Most examples to measure on; more are not looked at beyond a seeded random choice.
    mixed
        Most of these to mix for the interpolation gap; 0 leaves gap and loss out.
    pool
        What becomes of positions: ``"flatten"``, or their ``"mean"``, the ``"first"`` or the
        ``"last"`` one; ``"auto"`` averages tokens and flattens all else. An attention mask counts.
    ratios
        Ratios of the interpolation gap.
    batch_size
        Examples in a forward pass.
    memory
        Bytes for the features of a layer; fewer examples are taken where one layer needs more.
        Where all layers together need more, their features go to temporary files.
    seed
        Seed of the choice of examples and of partners.
    progress
        Show a bar on the standard error stream, where that is a terminal.

    Returns
    -------
    Profile
        Prints as a table; has `to_frame`, `to_json`, `to_csv` and `plot`.

    Raises
    ------
    InputError
        For data without two classes of two members, points that do not exist or cannot be mixed,
        or memory for too few examples.

    Examples
    --------
    >>> import torch, layermix as lm
    >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
    >>> found = lm.profile(model, (torch.randn(60, 4), torch.arange(60) % 3), ["input", "final"])
    >>> found["final"].values["gap"] < 1e-6
    True
    """
    for name, value, least in (("examples", examples, 4), ("mixed", mixed, 0)):
        if value < least:
            raise InputError(f"{name} is {value}, but must be {least} or more")
    chosen = collect(data, examples, seed)
    rows = _rows(unwrap(model), on_device(first(chosen.x, 3), device_of(model)), points)
    widths = norm_widths(model)
    layers = {row.name: pooling(row.shape or (), pool, widths) for row in rows}
    fit = examples_that_fit(layers, len(chosen.labels), memory)
    whole, chosen = chosen, fewer(chosen, fit)
    found = []
    with Bar(len(chosen.labels), len(rows), progress) as bar:
        gaps = _gaps(model, chosen, list(layers), mixed, ratios, seed)
        with gathered(model, chosen.x, layers, batch_size, memory, bar.forward) as features:
            for row in rows:
                bar.measure(row.name)
                own = features.pop(row.name).to(device_of(model))
                labels = chosen.labels.to(own.device)
                found.append(_layer(row, layers[row.name], own, labels, gaps.get(row.name)))
    unmeasured = [layer.point for layer in found if math.isnan(layer.snnl)]
    notices = _notices(whole, examples, fit, unmeasured)
    _, counts = chosen.labels.unique(return_counts=True)
    return Profile(
        layers=tuple(found),
        model=type(unwrap(model)).__name__,
        n=len(chosen.labels),
        mixed=min(mixed, len(chosen.labels)),
        classes=len(counts),
        chance=chance_level(counts),
        notices=tuple(notices),
    )


def measured(layer: Layer, gap: Gap | None = None) -> dict[str, float]:
    """Return every one of `QUANTITIES` of a layer; what the gap tells is NaN without one."""
    return {
        **{name: measure.compute(layer) for name, measure in MEASURES.items()},
        "gap": gap.kl if gap else math.nan,
        "gap_loss": gap.cross_entropy if gap else math.nan,
    }


def _rows(
    model: nn.Module, x: object, points: str | MixPoint | Iterable[str | MixPoint] | None
) -> list[MixPoint]:
    """Return the rows of the points to measure."""
    table: Points = list_points(model, x, all=points is not None)  # pyright: ignore[reportArgumentType]
    if points is None:
        return [row for row in table if row.kind in _KINDS and row.shape is not None]
    by_name: Mapping[str, MixPoint] = {row.name: row for row in table}
    found = []
    for name in dict.fromkeys(names_of(points)):
        if name not in by_name:
            raise unknown("mix point", name, by_name)
        if obstacle := by_name[name].obstacle:
            raise InputError(f"mix point {name!r} cannot be measured: {obstacle}")
        found.append(by_name[name])
    return found


def _gaps(
    model: nn.Module,
    chosen: Examples,
    names: list[str],
    mixed: int,
    ratios: tuple[float, ...],
    seed: int,
) -> dict[str, Gap]:
    if mixed < 2:
        return {}
    device = device_of(model)
    x, labels = first(chosen.x, mixed), chosen.labels[:mixed]
    return interpolation_gap(
        model, on_device(x, device), labels.to(device), names, ratios=ratios, seed=seed
    )


def _layer(
    row: MixPoint, pooled: Pooling, features: Tensor, labels: Tensor, gap: Gap | None
) -> LayerProfile:
    """Measure a layer; nothing can be said of features that are not finite."""
    values, nats, temperature, error = dict.fromkeys(QUANTITIES, math.nan), *[math.nan] * 3
    if features.isfinite().all():
        layer = Layer(features, labels)
        values, found = measured(layer, gap), layer_snnl(layer)
        nats, temperature, error = found.value, found.temperature, found.standard_error
    return LayerProfile(
        point=row.name,
        kind=row.kind,
        module=row.module,
        shape=row.shape or (),
        pooled=str(pooled),
        features=pooled.features,
        values=values,
        snnl=nats,
        temperature=temperature,
        standard_error=error,
    )


def _notices(chosen: Examples, wanted: int, fit: int, unmeasured: list[str]) -> list[str]:
    """Return what was left out, and why."""
    n, found = len(chosen.labels), []
    if isinstance(chosen.x, Mapping) and "attention_mask" in chosen.x:
        found.append("Positions are those that the attention mask keeps.")
    if chosen.seen > n:
        found.append(f"Measured on {min(n, fit):,} of {chosen.seen:,} examples, chosen at random.")
    if alone := min(wanted, chosen.seen) - n:
        found.append(f"Left out: {alone:,} examples that are alone in their class.")
    if fit < n:
        found.append(
            f"No more than {fit:,} examples of the widest layer fit into memory: raise memory, or "
            "pool positions."
        )
    found += [f"{name}: not measured, its features are NaN or infinite." for name in unmeasured]
    return found
