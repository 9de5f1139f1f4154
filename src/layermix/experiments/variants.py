"""Variants: what a study compares, each a name that says where to mix, or how.

``none`` trains without mixing, a mix point's own name mixes there, ``last`` after the last block,
``hidden`` after any block, ``random`` at the input or after a block, drawn each step (the set of
Manifold Mixup, Verma et al., 2019). ``auto`` draws each step from the input, the blocks and the
final layer, each as often as its classes are apart on a batch of training images
(`layermix.geometry.auto_weights`). A named method mixes in its own way, at its own point or
another: ``cutmix``, ``cutmix@input``, ``multimix@final:k=8``.
"""

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import torch

from layermix.errors import InputError, unknown
from layermix.experiments.training.recipe import Recipe
from layermix.functional import obstacle
from layermix.hooks import Points
from layermix.mixing import METHODS, Linear, Method, MultiMix, Permutation, PlanSampler, find_method
from layermix.mixing.method_sampler import HIDDEN_ALPHA, INPUT_ALPHA
from layermix.mixing.methods import is_method


def default_variants(points: Points) -> tuple[str, ...]:
    """Return none, input, each block, final, random and auto for a model's mix points."""
    return ("none", *candidates(points), "random", "auto")


def candidates(points: Points) -> tuple[str, ...]:
    """Return input, each block and final: where mixing is compared and geometry is watched."""
    kinds = ("input", "block", "final")
    return tuple(row.name for row in points if row.kind in kinds and row.obstacle is None)


def mix_points(variant: str, points: Points, what: str = "variant") -> tuple[str, ...]:
    """Return the mix points of a variant; none for ``"none"``. An error calls it `what`."""
    if found := _method_of(variant, points):
        return mix_points(found.at, points, f"mix point in {variant!r}")
    if variant == "none":
        return ()
    if variant in ("hidden", "random", "last"):
        blocks = points.blocks[-1:] if variant == "last" else points.blocks
        return (*(["input"] if variant == "random" else []), *blocks)
    if variant == "auto":
        return candidates(points)
    row = next((row for row in points if row.name == variant), None)
    if row is None:
        likely = [row.name for row in points if row.kind != "module"]
        modules = [row.name for row in points if row.kind == "module" and row.obstacle is None]
        raise unknown(what, variant, ["none", "random", "auto", *likely, *modules, *METHODS])
    if row.obstacle:
        raise InputError(f"variant {variant!r} cannot be mixed: {row.obstacle}")
    return (variant,)


def mixer_settings(variant: str, points: Points, recipe: Recipe) -> dict[str, Any]:
    """Return how a variant mixes, as arguments of a mixer; the recipe says what it leaves open.

    Methods that mix the whole batch leave nothing open: they have no ratios.
    """
    settings = recipe.mixing()
    if found := _method_of(variant, points):
        own = {key: value for key, value in found.settings.items() if key != "at"}
        if isinstance(found.blend, MultiMix):
            settings.clear()
        if "ratio" in own:
            settings.pop("alpha", None)
        settings |= own
    return settings


def check_variants(
    variants: Sequence[str], points: Points, recipe: Recipe | None = None
) -> tuple[str, ...]:
    """Return the variants, the defaults if empty; refuse unknown, repeated or equal ones.

    Parameters
    ----------
    variants
        The names of the variants.
    points
        All mix points of the model.
    recipe
        How to train; the default recipe if None. Its alpha decides if ``mixup`` equals ``input``.
    """
    chosen = tuple(variants) or default_variants(points)
    for variant in chosen:
        _try(variant, points)
        if chosen.count(variant) > 1:
            raise InputError(f"the variant {variant!r} is given {chosen.count(variant)} times")
    mixes = {variant: _mix_of(variant, points, recipe or Recipe()) for variant in chosen}
    if not variants:  # a model without blocks has its input as the only place of "random"
        return tuple(v for k, v in enumerate(chosen) if mixes[v] not in list(mixes.values())[:k])
    for one, other in combinations(chosen, 2):
        if mixes[one] == mixes[other]:
            raise InputError(f"the variants {one!r} and {other!r} are the same: leave one out")
    return chosen


def _mix_of(variant: str, points: Points, recipe: Recipe) -> dict[str, Any]:
    """Return where and how a variant mixes, with every setting in full: equal for equal mixes."""
    at, settings = mix_points(variant, points), mixer_settings(variant, points, recipe)
    usual = {"blend": Linear(), "partner": Permutation(), "prob": 1.0}
    mix = {**usual, **settings, "at": at, "adapt": variant == "auto" and recipe.adapt}
    if mix.get("alpha") is None and mix["blend"] == Linear() and "ratio" not in mix:
        mix["alpha"] = [INPUT_ALPHA if point == "input" else HIDDEN_ALPHA for point in at]
    elif mix.get("alpha") is not None:
        mix["alpha"] = [mix["alpha"]] * len(at)
    return mix


def _method_of(variant: str, points: Points) -> Method | None:
    """Return the method that a variant is; None where it says where to mix alone."""
    known = variant in (row.name for row in points)
    return find_method(variant) if is_method(variant) and not known else None


def _try(variant: str, points: Points) -> None:
    """Try the shapes that a variant will meet: what cannot be mixed is told now."""
    at = mix_points(variant, points)
    settings, rows = mixer_settings(variant, points, Recipe()), {row.name: row for row in points}
    for point in at:
        zeros, labels = torch.zeros(2, *(rows[point].shape or ())), torch.arange(2)
        plan = PlanSampler([point], **settings).draw(2, labels=labels, inputs=zeros)
        if why := obstacle(plan, zeros.shape[1:], rows[point].channels):
            raise InputError(f"the variant {variant!r} cannot mix at {point!r}: {why}")
