"""Which mix points of a model are worth trying when nobody has chosen any.

The input, the repeated blocks or stages, and the final layer: the points that Manifold
Mixup (Verma et al., 2019) draws from, and the one it leaves out.
"""

from collections.abc import Iterable

from torch import nn

from layermix.attach.blocks import repeated_blocks
from layermix.attach.head import has_head
from layermix.attach.mixpoint import MixPoint, names_of
from layermix.errors import InputError

AUTO = "auto"


def candidates(model: nn.Module) -> tuple[str, ...]:
    """Return ``"input"``, the repeated blocks and, where there is a head, ``"final"``."""
    return ("input", *repeated_blocks(model), *(["final"] if has_head(model) else []))


def resolve(at: str | MixPoint | Iterable[str | MixPoint], model: nn.Module) -> tuple[str, ...]:
    """Return the names of mix points however they were given, ``"auto"`` for the candidates.

    Raises
    ------
    InputError
        When ``"auto"`` is one of several names.
    """
    if at == AUTO:
        return candidates(model)
    names = names_of(at)
    if AUTO in names and AUTO not in dict(model.named_modules()):
        raise InputError(
            f"{AUTO!r} stands for all candidates of a model, so it is no mix point among others: "
            f"give at={AUTO!r} alone, or name every point"
        )
    return names
