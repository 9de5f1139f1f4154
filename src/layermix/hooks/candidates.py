"""Words for several mix points of a model.

Points that a probe finds to be not cuts of the network are left out:

========== ==============================================================================
auto       the input, each block and the final layer
random     the input and each block
hidden     each block
last       the last block that is a cut of the network; until a probe, each block
========== ==============================================================================

Manifold Mixup (Verma et al., 2019) draws from the points of ``"random"``.
"""

from collections.abc import Iterable

from torch import nn

from layermix.errors import InputError, brief
from layermix.hooks.points import MixPoint, names_of, repeated_blocks
from layermix.hooks.sites import has_head

AUTO = "auto"
GROUPS = ("random", "hidden", "last")


def candidates(model: nn.Module) -> tuple[str, ...]:
    """Return ``"input"``, the repeated blocks and, where there is a head, ``"final"``."""
    return ("input", *repeated_blocks(model), *(["final"] if has_head(model) else []))


def resolve(
    at: str | MixPoint | Iterable[str | MixPoint], model: nn.Module, weights: object = None
) -> tuple[str, ...]:
    """Return the names of mix points given as names, `MixPoint` objects or a word.

    Raises
    ------
    InputError
        If a word is one of several names or has no points in this model, or if ``"auto"`` has
        `weights`.
    """
    auto = isinstance(at, str) and at == AUTO
    if auto and weights is not None:
        raise InputError(
            f"weights are {brief(weights)}, but at={AUTO!r} chooses the points itself: call "
            "reweigh with a weight for each name in mixer.points"
        )
    if auto:
        return candidates(model)
    names, modules = names_of(at), dict(model.named_modules())
    if len(names) == 1 and names[0] in GROUPS and names[0] not in modules:
        return _group(names[0], model)
    for word in (AUTO, *GROUPS):
        if word in names and word not in modules:
            raise InputError(
                f"{word!r} stands for several points of a model, so it is no mix point among "
                f"others: give at={word!r} alone, or name every point"
            )
    return names


def group_of(at: object, model: nn.Module) -> str | None:
    """Return `at` if it is a word for several points, and not the name of a module; else None."""
    if isinstance(at, str) and (at == AUTO or at in GROUPS):
        return at if at == AUTO or at not in dict(model.named_modules()) else None
    return None


def _group(word: str, model: nn.Module) -> tuple[str, ...]:
    blocks = repeated_blocks(model)
    if word == "random":
        return ("input", *blocks)
    if not blocks:
        raise InputError(
            f"at={word!r} stands for the repeated blocks of a model, but {type(model).__name__} "
            "has none: name modules, which layermix.points(model, x, all=True) lists"
        )
    return tuple(blocks)
