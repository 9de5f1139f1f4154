"""The cut follows the pixels: labels of positions are weighted where their positions were mixed.

Shapes: B batch, K numbers at each position, R rows of a mask (1 or B), `size` positions.
"""

import torch.nn.functional as F
from torch import Tensor

from layermix.errors import InputError


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
        Labels (B, ...); see `has_positions`.

    Raises
    ------
    InputError
        For labels of positions that the mask does not have.
    """
    if mask is None or not has_positions(labels, tuple(mask.shape[1:])):
        return weight
    dims = mask.ndim - 1
    size = tuple(labels.shape[-dims:])
    share = mask.to(weight.dtype)
    if tuple(mask.shape[1:]) != size:
        share = F.interpolate(share[:, None], size=size, mode="nearest-exact")[:, 0]
    return share.view(len(share), *[1] * (labels.ndim - mask.ndim), *size)


def has_positions(labels: Tensor, size: tuple[int, ...]) -> bool:
    """Tell whether labels are of positions; `size` are those of the mask.

    Of the whole example are labels of shape (B,), floats (B, K), and labels of a single position,
    such as (B, 1). The others depend on the mask.

    A map or a video (H, W) or (T, H, W): labels of its positions are (B, *size), or (B, K, *size)
    for K numbers at each, of any resolution. Integers (B, K) are K classes of the example.

    Tokens (L,): integers (B, L), or (B, N) where one of N and L divides the other, for labels of
    another resolution; then K classes of the example cannot be told from them, and need a mapping.
    Floats of its positions are (B, K, L).

    Raises
    ------
    InputError
        For labels of any other shape: the share of the example would be a wrong weight.
    """
    dims, given = len(size), tuple(labels.shape[1:])
    if labels.ndim <= (2 if labels.is_floating_point() or dims > 1 else 1):
        return False
    if all(n == 1 for n in given[-dims:]) and len(given) in (dims, dims + 1):
        return False
    if not (_of_tokens(labels, size[0]) if dims == 1 else len(given) in (dims, dims + 1)):
        raise InputError(_refusal(labels, size))
    return True


def like(ratio: Tensor, values: Tensor) -> Tensor:
    """Return a ratio in a shape that multiplies values (B, ...).

    Parameters
    ----------
    ratio
        Shape (), (B,), or of positions (R, *size) or (R, 1, *size).
    values
        Of each position: (B, *size) or (B, K, *size). Of each example, (B,) or (B, K), such as a
        Dice loss: they get the mean of the ratio over the positions.

    Raises
    ------
    InputError
        For values that are neither of the examples nor of the positions.
    """
    if ratio.ndim == 0:
        return ratio
    shape = values.shape
    if ratio.ndim == len(shape) + 1 and ratio.shape[1] == 1 and _fits(ratio.shape[2:], shape[1:]):
        ratio = ratio.squeeze(1)  # a loss over the K numbers
    elif ratio.ndim == len(shape) - 1:
        ratio = ratio.unsqueeze(1) if ratio.ndim > 1 else ratio
    elif ratio.ndim > len(shape):
        ratio = ratio.flatten(1).mean(1)
    if ratio.ndim == 1:
        ratio = ratio.view(-1, *[1] * (len(shape) - 1))
    if len(ratio) in (1, len(values)) and _fits(ratio.shape[1:], shape[1:]):
        return ratio
    raise InputError(
        f"values of shape {tuple(shape)} cannot be weighed by a ratio of shape "
        f"{tuple(ratio.shape)}: a criterion must return one loss for each example or position of "
        "the labels"
    )


def weights_like(weight: Tensor, values: Tensor) -> Tensor:
    """Return weights of examples or positions in a shape that multiplies losses (B, ...).

    Raises
    ------
    InputError
        For losses of whole examples and weights of positions.
    """
    if weight.ndim > values.ndim:
        raise InputError(
            f"sample_weight has one weight for each position, shape {tuple(weight.shape)}, but the "
            f"losses have shape {tuple(values.shape)}: give one for each example, "
            f"({weight.shape[0]},), or a criterion that returns one loss for each position"
        )
    return like(weight, values)


def _of_tokens(labels: Tensor, length: int) -> bool:
    """Tell whether labels (B, N), or floats (B, K, N), are of tokens (L,)."""
    count = labels.shape[-1]
    if labels.is_floating_point():
        return labels.ndim == 3 and count == length
    return labels.ndim == 2 and 0 in (count % length, length % count)


def _fits(size: tuple[int, ...], other: tuple[int, ...]) -> bool:
    """Tell whether two shapes multiply."""
    return len(size) == len(other) and all(
        n == m or 1 in (n, m) for n, m in zip(size, other, strict=True)
    )


def _refusal(labels: Tensor, size: tuple[int, ...]) -> str:
    where = f"{size[0]} tokens" if len(size) == 1 else f"{' x '.join(map(str, size))} positions"
    if labels.is_floating_point():
        remedy = "Numbers of the whole example are labels.flatten(1)"
    else:
        remedy = "Several classes of each example are a mapping, {'a': labels[:, 0], ...}"
    return (
        f"the labels have shape {tuple(labels.shape)}, which does not fit the {where} that were "
        f"mixed. {remedy}. For labels of positions mix where the activation has them too, or with "
        "blend='linear'"
    )


def check_no_positions(labels: Tensor, blend: object) -> None:
    """Refuse labels of positions, because a blend moves the partner's.

    Raises
    ------
    InputError
        For labels with more than one number for each example.
    """
    if labels.ndim > 1 + labels.is_floating_point():
        raise InputError(
            f"the labels have shape {tuple(labels.shape)}, one for each position, but the blend "
            f"{blend!r} moves the partner's positions: use 'cut', 'grid' or 'fourier'"
        )
