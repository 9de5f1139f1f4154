"""The cut follows the pixels: labels of positions are weighted where their positions were mixed.

Shapes: B batch, R rows of a mask (1 or B), `size` positions.
"""

import torch.nn.functional as F
from torch import Tensor


def ratio_of(weight: Tensor, mask: Tensor | None, labels: Tensor) -> Tensor:
    """Return the weight of the own labels: of each position where labels have them.

    Parameters
    ----------
    weight
        Of each example's own label, () or (B,).
    mask
        How much of the own example each position of the activation keeps, (R, *size); None for
        blends that treat all positions alike. Labels of another size take the nearest position.
    labels
        Labels (B, ...).
    """
    if mask is None or not has_positions(labels, mask.ndim - 1):
        return weight
    dims = mask.ndim - 1
    size = tuple(labels.shape[-dims:])
    share = mask.to(weight.dtype)
    if tuple(mask.shape[1:]) != size:
        share = F.interpolate(share[:, None], size=size, mode="nearest-exact")[:, 0]
    return share.view(len(share), *[1] * (labels.ndim - mask.ndim), *size)


def has_positions(labels: Tensor, dims: int) -> bool:
    """Tell whether labels are of positions, of which there are `dims` dimensions.

    Integers (B, *size) are classes of positions. Floats of two dimensions are always several
    numbers for each example; from two dimensions of positions on they are (B, *size), or
    (B, K, *size) for K numbers at each.
    """
    if not labels.is_floating_point():
        return labels.ndim == dims + 1
    return dims > 1 and labels.ndim in (dims + 1, dims + 2)
