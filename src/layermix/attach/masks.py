"""Attention masks of two examples that are mixed: a position counts if it does for either.

Masks come as booleans or as 0 and 1 (true means attend, but ignore where the name ends with
`padding_mask`), or as floats that are added to the scores (0: attend, -inf: ignore).

Shapes: (B, ...), whatever follows: (B, L), (B, 1, 1, L), (B, 1, L, L).
"""

from torch import Tensor

from layermix.attach.structure import Path
from layermix.mixing import Plan

_NAMES = ("attention_mask", "padding_mask")  # how their names end


def is_mask(path: Path) -> bool:
    """Tell whether the leaf at a path is an attention mask, which is united and never mixed."""
    return bool(path) and str(path[-1]).endswith(_NAMES)


def united(name: str, mask: Tensor, plan: Plan) -> Tensor:
    """Return the mask of each example united with that of its partner; a new tensor.

    What has not the batch first, such as a causal mask (L, L), is returned as it is.
    """
    if mask.shape[:1] != (plan.batch_size,):
        return mask
    other = plan.of_partners(mask)
    ignores = name.endswith("padding_mask") and not mask.is_floating_point()
    return mask.minimum(other) if ignores else mask.maximum(other)
