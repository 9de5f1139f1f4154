"""Variants: the mix points and methods that a study compares, by name.

``none`` does not mix. The name of a mix point mixes there; ``last`` mixes after the last block, and
``hidden`` after a random block. ``random`` draws the input or a block at each step (Manifold
Mixup, Verma et al., 2019). ``auto`` draws the input, a block or the final layer: points with better
separated classes, measured on a batch of training images, are drawn more often. A method mixes at
its default point or another one: ``cutmix``, ``cutmix@input``, ``multimix@final:k=8``. If methods
are joined by a plus, one of them is drawn at each step, with equal probability: ``mixup+cutmix``.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import torch

from layermix import mixing
from layermix.errors import InputError, unknown
from layermix.functional import obstacle
from layermix.hooks import Points
from layermix.lab.training.recipe import Recipe
from layermix.mixing.methods import is_method, method_names
from layermix.mixing.ratio_sampler import HIDDEN_ALPHA, INPUT_ALPHA


def compared_points(points: Points) -> tuple[str, ...]:
    """Return the points that are compared and monitored: input, each block, and final.

    The embedding of tokens replaces an input that cannot be mixed.
    """
    kinds = ("input", "embedding", "block", "final")
    return tuple(row.name for row in points if row.kind in kinds and row.obstacle is None)


def mix_points(variant: str, points: Points, kind: str = "variant") -> tuple[str, ...]:
    """Return the mix points of a variant; error messages use `kind` instead of "variant"."""
    if methods := _methods_of(variant, points):
        several = [mix_points(m.at, points, f"mix point of {name!r}:") for name, m in methods]
        return tuple(dict.fromkeys(point for names in several for point in names))
    if variant == "none":
        return ()
    if variant in ("hidden", "random", "last"):
        blocks = points.blocks[-1:] if variant == "last" else points.blocks
        first = [points.first] if variant == "random" and points.first else []
        return (*first, *blocks)
    if variant == "auto":
        return compared_points(points)
    row = next((row for row in points if row.name == variant), None)
    if row is None:
        likely = [row.name for row in points if row.kind != "module"]
        modules = [row.name for row in points if row.kind == "module" and row.obstacle is None]
        raise unknown(kind, variant, ["none", "random", "auto", *likely, *modules, *mixing.METHODS])
    if row.obstacle:
        raise InputError(f"variant {variant!r} cannot be mixed: {row.obstacle}")
    return (variant,)


def mixer_settings(variant: str, points: Points, recipe: Recipe) -> dict[str, Any]:
    """Return the `Mixer` arguments of a variant, including `at` only for several methods.

    Arguments that a method does not set are from the recipe, except for MultiMix, which has none.
    """
    methods = [_complete(method, recipe) for _, method in _methods_of(variant, points)]
    if len(methods) > 1:  # each at its own mix points
        return {"at": None, "method": methods}
    if not methods:
        return recipe.mixing()
    return {key: value for key, value in methods[0].settings.items() if key != "at"}


def check_variants(
    variants: Sequence[str], points: Points, recipe: Recipe | None = None
) -> tuple[str, ...]:
    """Return the variants of a study; raise an `InputError` for unknown or equal ones.

    The default variants are none, input, each block, final, random and auto. `points` are all mix
    points of the model. If `recipe` is None, the default recipe is used.
    """
    recipe = recipe or Recipe()
    chosen = tuple(variants) or ("none", *compared_points(points), "random", "auto")
    for variant in chosen:
        _try(variant, points)
    require_distinct("variant", chosen)
    mixes = {variant: _full_settings(variant, points, recipe) for variant in chosen}
    if not variants:  # without blocks, "random" is the same as "input"
        return tuple(v for k, v in enumerate(chosen) if mixes[v] not in list(mixes.values())[:k])
    for one, other in combinations(chosen, 2):
        if mixes[one] == mixes[other]:
            raise InputError(f"the variants {one!r} and {other!r} are the same: leave one out")
    return chosen


def require_distinct(kind: str, values: Sequence[Any]) -> None:
    """Raise an `InputError` if a variant, or another kind of value, is given more than once."""
    for value, count in Counter(values).items():
        if count > 1:
            raise InputError(f"the {kind} {value!r} is given {count} times: name each once")


def depends_on(variant: str, name: str, points: Points, recipe: Recipe) -> bool:
    """Return True if a mixing setting of the recipe has an effect on a variant."""
    if variant == "none":
        return False
    if name == "norm_stats":
        return True
    values = {"alpha": (0.25, 4.0), "per": ("batch", "sample")}[name]
    one, other = (
        _full_settings(variant, points, replace(recipe, **{name: value})) for value in values
    )
    return one != other


def _full_settings(variant: str, points: Points, recipe: Recipe) -> dict[str, Any]:
    """Return all settings of a variant, including defaults; equal variants have equal settings."""
    methods = _methods_of(variant, points)
    if len(methods) > 1:
        each = [_full_settings(name, points, recipe) for name, _ in methods]
        return {"methods": sorted(each, key=repr)}
    at, settings = mix_points(variant, points), mixer_settings(variant, points, recipe)
    defaults = {"blend": mixing.Linear(), "partner": mixing.Permutation(), "prob": 1.0}
    mix = {**defaults, **settings, "at": at, "adapt": variant == "auto" and recipe.adapt}
    if mix.get("alpha") is None and mix["blend"] == mixing.Linear() and "ratio" not in mix:
        mix["alpha"] = [INPUT_ALPHA if point == "input" else HIDDEN_ALPHA for point in at]
    elif mix.get("alpha") is not None:
        mix["alpha"] = [mix["alpha"]] * len(at)
    return mix


def _methods_of(variant: str, points: Points) -> list[tuple[str, mixing.Method]]:
    """Return the methods of a variant with their names; empty if it names mix points."""
    names = method_names(variant)
    one_place = len(names) == 1 and not is_method(variant)
    if one_place or variant in (row.name for row in points):
        return []
    require_distinct(f"method of {variant!r}", names)
    return [(name, mixing.find_method(name)) for name in names]


def _complete(method: mixing.Method, recipe: Recipe) -> mixing.Method:
    """Return a method in which settings that it does not define are those of the recipe."""
    left_open = {} if isinstance(method.blend, mixing.MultiMix) else recipe.mixing()
    if "ratio" in method.options:
        left_open.pop("alpha", None)
    return replace(method, options={**left_open, **method.options})


def _try(variant: str, points: Points) -> None:
    """Raise an `InputError` if a variant cannot mix the shapes of the activations at its points."""
    if len(methods := _methods_of(variant, points)) > 1:
        for name, _ in methods:
            _try(name, points)
        return
    settings, rows = mixer_settings(variant, points, Recipe()), {row.name: row for row in points}
    for point in mix_points(variant, points):
        zeros, labels = torch.zeros(2, *(rows[point].shape or ())), torch.arange(2)
        plan = mixing.PlanSampler([point], **settings).draw(2, labels=labels, inputs=zeros)
        if why := obstacle(plan, zeros.shape[1:], rows[point].channels):
            raise InputError(f"the variant {variant!r} cannot mix at {point!r}: {why}")
