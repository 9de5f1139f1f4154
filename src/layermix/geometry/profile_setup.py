"""Prepare a profile: choose its examples and mix points, and the pooling at each mix point."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from layermix.errors import InputError
from layermix.geometry import features
from layermix.geometry.features import Pool, Pooling
from layermix.geometry.gap import Gap, MixPoints
from layermix.geometry.profile_data import Examples
from layermix.geometry.quantities import QUANTITIES
from layermix.hooks import MixPoint, Points
from layermix.hooks.batch import first, likely_dims, tensors_of
from layermix.hooks.isolation import takes
from layermix.hooks.points import default_points, names_of, probed_points
from layermix.hooks.sites import Site, device_of

_FEW = 10  # classes with fewer examples give imprecise values


class ProfileSetup(NamedTuple):
    """The examples and mix points of a profile, the pooling at each point, and notices to show."""

    device: torch.device
    examples: Examples
    rows: list[MixPoint]
    sites: Mapping[str, Site]
    poolings: dict[str, Pooling]
    notices: list[str]


def set_up(
    model: nn.Module, chosen: Examples, at: MixPoints | None, pool: Pool, memory: int, mixes: bool
) -> ProfileSetup:
    """Set up a profile of an unwrapped model; if `mixes`, also test which points are cuts."""
    if isinstance(chosen.x, Mapping) and not takes(model, chosen.x):
        tensors = [value for value in chosen.x.values() if isinstance(value, Tensor)]
        if len(tensors) == 1:  # its name is no argument of the model
            chosen = dataclasses.replace(chosen, x=tensors[0])
    batch_dim, device = chosen.batch_dim, device_of(model)
    few = features.on_device(first(chosen.x, 3, batch_dim), device)
    names = default_points(model) if at is None else names_of(at)
    measured = names if mixes else ()
    table, probe = probed_points(
        model, few, dict.fromkeys(names), batch_dim=batch_dim, measured=measured
    )
    if at is None and table.first == "input":  # then the embedding of tokens is not a default
        table = Points(row for row in table if row.kind != "module")
    rows, skipped = _rows(table, named=at is not None)
    sites = {row.name: probe.sites[row.name] for row in rows}
    widths = features.norm_widths(model)
    mask = few.get("attention_mask") if isinstance(few, Mapping) else None
    length = mask.shape[-1] if isinstance(mask, Tensor) else None
    poolings = {
        row.name: features.pooling_of(
            row.shape or (), pool, widths, probe.batch_dim(row.name), length
        )
        for row in rows
    }
    fit = features.examples_that_fit(model, poolings, len(chosen), memory)
    kept = chosen if fit == len(chosen) else chosen.take(torch.arange(fit)).without_singletons()
    notices = _about_examples(chosen, kept, fit)
    notices += [f"{row.name} is left out: {row.obstacle}." for row in skipped]
    notices += _about_positions(model, kept, pool, poolings)
    return ProfileSetup(device, kept, rows, sites, poolings, notices)


def missing_values(
    setup: ProfileSetup, quantities: Sequence[str], gaps: dict[str, Gap], broken: dict[str, str]
) -> list[str]:
    """Return texts on missing values; `broken` has the reason for each layer not measured."""
    found = [f"{name} is not measured: {why}." for name, why in broken.items()]
    if "intrusion" in quantities and len(setup.examples.labels.unique()) == 2:
        name = QUANTITIES["intrusion"].short
        found.append(f"{name} is not measured: it needs three classes or more.")
    if partial := [row.name for row in setup.rows if row.cut]:
        names = ", ".join(partial)
        found.append(f"gap is not measured at {names}: part of each example bypasses it.")
    if bad := [name for name, gap in gaps.items() if math.isnan(gap.kl)]:
        found.append(
            f"gap is not measured at {', '.join(bad)}: the logits are NaN or infinite there."
        )
    elif any(math.isnan(gap.cross_entropy) for gap in gaps.values()):
        found.append("loss is not measured: some labels are not classes of the logits.")
    return found


def _rows(table: Points, *, named: bool) -> tuple[list[MixPoint], list[MixPoint]]:
    """Return the points to measure, and the default points that cannot be measured."""
    skipped = [row for row in table if row.obstacle and not row.cut]
    if named and skipped:
        name, obstacle = skipped[0].name, skipped[0].obstacle
        raise InputError(f"mix point {name!r} cannot be measured: {obstacle}")
    if not (rows := [row for row in table if row not in skipped]):
        raise InputError("there is no mix point to measure: pass one or more in `at`")
    return rows, skipped


def _about_examples(chosen: Examples, kept: Examples, fit: int) -> list[str]:
    n, cut = len(kept), fit < len(chosen)
    alone = (fit if cut else chosen.drawn) - n
    tensors, rows = tensors_of(kept.x), []
    for path, dim in likely_dims(kept.x, kept.batch_dim).items():
        x = tensors[path].detach().cpu().movedim(dim, 0).reshape(n, -1).contiguous()
        rows.append([hash(row.tobytes()) for row in x.view(torch.uint8).numpy()])
    repeated = n - len(set(zip(*rows, strict=True)))
    least = int(kept.labels.unique(return_counts=True)[1].min())
    found = {
        f"Ignored because of their label: {chosen.ignored:,} examples.": chosen.ignored,
        f"Chosen at random: {chosen.drawn:,} of {chosen.available:,} examples.": (
            chosen.drawn < chosen.available
        ),
        f"Only {fit:,} examples fit into memory with the matrices of the widest layer: increase "
        "memory, or pool positions.": cut,
        f"Ignored because their class has no other example: {alone:,} examples.": alone,
        f"{repeated:,} of {n:,} examples repeat an earlier one, which is their nearest neighbor: "
        "sample without replacement.": repeated,
        f"The smallest class has {least} examples: all values are imprecise.": least < _FEW,
    }
    return [notice for notice, applies in found.items() if applies]


def _about_positions(
    model: nn.Module, examples: Examples, pool: Pool, poolings: Mapping[str, Pooling]
) -> list[str]:
    found, pooled = [], [each.how for each in poolings.values() if each.positions]
    masked = isinstance(examples.x, Mapping) and "attention_mask" in examples.x
    if masked and any(how != "flatten" for how in pooled):
        found.append("Positions are those that the attention mask keeps.")
    if pool == "auto" and "mean" in pooled:  # a model may use its class token alone
        names = {name.rpartition(".")[2] for name, _ in model.named_parameters()}
        tokens = sorted(names & {"cls_token", "class_token"})
        found += [f"The model has a {t}: pool='first' uses only this position." for t in tokens]
    return found
