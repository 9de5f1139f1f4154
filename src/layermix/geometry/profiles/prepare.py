"""Before a profile is taken: which examples, which points, and what becomes of their positions."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from layermix.errors import InputError, unknown
from layermix.geometry.profiles.examples import Data, Examples, collect, fewer
from layermix.geometry.profiles.features import examples_that_fit, on_device
from layermix.geometry.profiles.notices import about_examples, class_token, left_out
from layermix.geometry.profiles.pooling import Pool, Pooling, norm_widths, pooling
from layermix.hooks import MixPoint, Points
from layermix.hooks.batch import Batch, first
from layermix.hooks.mixpoint import names_of
from layermix.hooks.observe import takes
from layermix.hooks.points import default_points, table_of
from layermix.hooks.site import device_of, unwrap

_KINDS = ("input", "block", "final", "logits")

Where = str | MixPoint | Iterable[str | MixPoint] | None


@dataclass(frozen=True)
class Subject:
    """What is measured.

    Attributes
    ----------
    examples
        Inputs and classes, with how many there were to choose from.
    rows
        The mix points.
    layers
        For each of them by name how its activations become vectors.
    notices
        What was left out.
    cuts
        Names of the points at which the network can be mixed, if that was measured.
    """

    examples: Examples
    rows: list[MixPoint]
    layers: dict[str, Pooling]
    notices: list[str]
    cuts: list[str]


def prepare(
    model: nn.Module,
    data: Data,
    points: Where,
    wanted: int,
    pool: Pool,
    memory: int,
    seed: int,
    ignore_index: int = -100,
    mixes: bool = False,
) -> Subject:
    """Return what is measured; parameters are those of `profile`, and whether it mixes."""
    inner = unwrap(model)
    chosen = collect(data, wanted, seed, _padding(inner), ignore_index)
    chosen = chosen._replace(x=_called(inner, chosen.x))
    few = on_device(first(chosen.x, 3), device_of(inner))
    names = default_points(inner) if points is None else names_of(points)
    table = table_of(inner, few, all=True, measured=names if mixes else ())
    rows = _rows(table, None if points is None else names)
    widths = norm_widths(inner)
    layers = {row.name: pooling(row.shape or (), pool, widths) for row in rows}
    fit = examples_that_fit(inner, layers, len(chosen.labels), memory)
    kept = fewer(chosen, fit)
    notices = [*left_out(chosen, kept, wanted, fit, layers), *about_examples(kept)]
    if points is None:
        notices += [
            f"{row.name} is left out: {row.obstacle}."
            for row in table
            if row.kind in _KINDS and not _is_measurable(row)
        ]
    if pool == "auto" and any(layer.how == "mean" for layer in layers.values()):
        notices += class_token(inner)
    cuts = [row.name for row in rows if row.obstacle is None]
    return Subject(kept, rows, layers, notices, cuts)


def _padding(model: nn.Module) -> int:
    """Return what a model takes for the end of a text."""
    found = getattr(getattr(model, "config", None), "pad_token_id", None)
    return found if isinstance(found, int) else 0


def _called(model: nn.Module, x: Batch) -> Batch:
    """Return inputs as the model takes them: the only one of a name it does not know, bare."""
    if not isinstance(x, Mapping):
        return x
    tensors = [value for value in x.values() if isinstance(value, Tensor)]
    return x if takes(model, x) or len(tensors) != 1 else tensors[0]


def _is_measurable(row: MixPoint) -> bool:
    """Return True for points with features; something may go round them."""
    return row.obstacle is None or bool(row.cut)


def _rows(table: Points, names: Iterable[str] | None) -> list[MixPoint]:
    """Return the rows of the points to measure; None: the default candidates."""
    if names is None:
        return [row for row in table if row.kind in _KINDS and _is_measurable(row)]
    by_name: Mapping[str, MixPoint] = {row.name: row for row in table}
    found = []
    for name in dict.fromkeys(names):
        if name not in by_name:
            raise unknown("mix point", name, by_name)
        row = by_name[name]
        if not _is_measurable(row):
            raise InputError(f"mix point {name!r} cannot be measured: {row.obstacle}")
        found.append(row)
    if not found:
        raise InputError("points is empty: name one or more, or leave it out")
    return found
