"""Variants: what a study compares, each a name that says where to mix.

``none`` trains without mixing, a mix point's own name mixes there, ``random`` at the input or
after a block, drawn each step (the set of Manifold Mixup, Verma et al., 2019). ``auto`` draws each
step from the input, the blocks and the final layer, each as often as its classes are apart on the
watched batch (`layermix.geometry.auto_weights`).
"""

from collections.abc import Sequence

from layermix.attach import Points
from layermix.errors import InputError, unknown


def default_variants(points: Points) -> tuple[str, ...]:
    """Return none, input, each block, final, random and auto for a model's mix points."""
    return ("none", *candidates(points), "random", "auto")


def candidates(points: Points) -> tuple[str, ...]:
    """Return input, each block and final: where mixing is compared and geometry is watched."""
    kinds = ("input", "block", "final")
    return tuple(row.name for row in points if row.kind in kinds and row.obstacle is None)


def mix_points(variant: str, points: Points) -> tuple[str, ...]:
    """Return the mix points of a variant; none for ``"none"``."""
    if variant == "none":
        return ()
    if variant == "random":
        return ("input", *points.blocks)
    if variant == "auto":
        return candidates(points)
    row = next((row for row in points if row.name == variant), None)
    if row is None:
        likely = [row.name for row in points if row.kind != "module"]
        modules = [row.name for row in points if row.kind == "module" and row.obstacle is None]
        raise unknown("variant", variant, ["none", "random", "auto", *likely, *modules])
    if row.obstacle:
        raise InputError(f"variant {variant!r} cannot be mixed: {row.obstacle}")
    return (variant,)


def check_variants(variants: Sequence[str], points: Points) -> tuple[str, ...]:
    """Return the variants, defaults when empty; refuse unknown or repeated ones."""
    chosen = tuple(variants) or default_variants(points)
    for variant in chosen:
        mix_points(variant, points)
        if chosen.count(variant) > 1:
            raise InputError(f"the variant {variant!r} is given {chosen.count(variant)} times")
    return chosen
