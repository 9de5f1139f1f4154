"""Variants: what a study compares, each a name that says where to mix.

``none`` trains without mixing, a mix point's own name mixes there, ``random`` at the input or
after a block, drawn each step (the set of Manifold Mixup, Verma et al., 2019).
"""

from collections.abc import Sequence

from layermix.attach import Points
from layermix.errors import InputError, unknown


def default_variants(points: Points) -> tuple[str, ...]:
    """Return none, input, each block, final and random for a model's mix points."""
    final = [row.name for row in points if row.kind == "final"]
    return ("none", "input", *points.blocks, *final, "random")


def mix_points(variant: str, points: Points) -> tuple[str, ...]:
    """Return the mix points of a variant; none for ``"none"``."""
    if variant == "none":
        return ()
    if variant == "random":
        return ("input", *points.blocks)
    if variant not in points.names:
        raise unknown("variant", variant, ["none", "random", *points.names])
    return (variant,)


def check_variants(variants: Sequence[str], points: Points) -> tuple[str, ...]:
    """Return the variants, defaults when empty; refuse unknown or repeated ones."""
    chosen = tuple(variants) or default_variants(points)
    for variant in chosen:
        mix_points(variant, points)
        if chosen.count(variant) > 1:
            raise InputError(f"the variant {variant!r} is given {chosen.count(variant)} times")
    return chosen
