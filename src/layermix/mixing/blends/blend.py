"""What a blend is: how the activations of two examples become one, and what label that leaves.

A blend is immutable configuration with two methods. `draw` says which random numbers it needs
beyond ratio and partner: they are drawn with the plan, before the forward pass, and know no shape.
Calling it mixes: a pure function of both activations and of what was drawn, which also says how
much of the own label it really left, such as the area that was not cut.

Shapes: B batch; R rows, 1 for a ratio of the batch, else B; `size` the positions of an activation,
(H, W) of maps and (L,) of tokens, without batch and channels.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from layermix.errors import InputError

Draws = Mapping[str, Tensor]
"""The random numbers of a plan by name; their first dimensions are those of the ratio."""


class Blended(NamedTuple):
    """A mixed activation, and what is left of the own label.

    Attributes
    ----------
    values
        Mixed activation, with dtype and memory format of what was mixed.
    weight
        Of each example's own label, float () or (B,), in [0, 1]; of a blend that mixes all
        examples, of each label in each mix: (N, B), rows sum to 1.
    mask
        Of blends that cut: how much of the own example each position keeps, bool or float
        (R, *size).
    """

    values: Tensor
    weight: Tensor
    mask: Tensor | None = None


@dataclass(frozen=True)
class Blend:
    """How two activations become one."""

    @property
    def moves(self) -> bool:
        """Whether positions of the partner end up elsewhere, so that their labels cannot follow."""
        return False

    @property
    def usual(self) -> float | None:
        """The ratio where neither ratio nor alpha is given; None for the law of the mix point."""
        return None

    @property
    def local(self) -> bool:
        """Whether it tells positions apart, so that of several tensors each cannot go its way."""
        return False

    @property
    def grows(self) -> bool:
        """Whether it returns more rows than the batch has examples."""
        return False

    def draw(
        self, rng: np.random.Generator, rows: tuple[int, ...], batch: int
    ) -> dict[str, np.ndarray]:
        """Return the random numbers it needs beyond ratio and partner.

        Parameters
        ----------
        rng
            The stream to draw from.
        rows
            () or (B,), the shape of the ratio: the first dimensions of all that is drawn for each.
        batch
            The number of examples B.
        """
        return {}

    def weight(self, ratio: Tensor, draws: Draws) -> Tensor | None:
        """Return the weight of the own label, or None where only the mix itself will tell it."""
        return None

    def __call__(
        self, own: Tensor, other: Tensor, ratio: Tensor, draws: Draws, channels: int
    ) -> Blended:
        """Mix two activations; neither is changed.

        Parameters
        ----------
        own, other
            Activations of the examples and of their partners, floating point (B, ...).
        ratio
            Weight of `own`, float () or (B,), in [0, 1].
        draws
            What `draw` returned, as tensors.
        channels
            Which dimension has the channels: 1 for maps, -1 for tokens.

        Raises
        ------
        InputError
            For an activation of a shape that this blend cannot mix.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class Masked(Blend):
    """A blend in which each position is of the own example, or of its partner."""

    @property
    def local(self) -> bool:
        """Whether it tells positions apart: it does."""
        return True

    @property
    def dims(self) -> tuple[int, ...]:
        """How many dimensions of positions it can mix."""
        return 1, 2, 3

    def mask(self, size: tuple[int, ...], other: Tensor, ratio: Tensor, draws: Draws) -> Tensor:
        """Return how much of the own example each position keeps: bool or float (R, *size).

        Parameters
        ----------
        size
            Of the positions.
        other
            The partners' activations, channels first: (B, C, *size).
        ratio
            Share of the positions that the own example keeps, (R,).
        draws
            What `draw` returned, as tensors.
        """
        raise NotImplementedError

    def __call__(
        self, own: Tensor, other: Tensor, ratio: Tensor, draws: Draws, channels: int
    ) -> Blended:
        """Mix activations with positions, (B, C, *size) or (B, *size, C); see `Blend`."""
        size = positions(own, channels, self.dims)
        mask = self.mask(size, other.movedim(channels, 1), rows(ratio), draws)
        return Blended(masked(own, other, mask, channels), kept(mask), mask)


def positions(x: Tensor, channels: int, dims: tuple[int, ...] = (1, 2, 3)) -> tuple[int, ...]:
    """Return the sizes of an activation's positions.

    Raises
    ------
    InputError
        For an activation that has not as many dimensions of positions as `dims` allow.
    """
    size = list(x.shape[1:])
    if len(size) > 1:
        del size[channels - 1 if channels > 0 else channels]
    else:
        size = []
    if len(size) in dims:
        return tuple(size)
    allowed = " or ".join(map(str, dims))
    raise InputError(
        f"an activation of shape {tuple(x.shape)} has {len(size)} dimensions of positions beside "
        f"batch and channels, but this blend needs {allowed}: mix it with blend='linear', or at a "
        "point with maps or tokens"
    )


def masked(own: Tensor, other: Tensor, mask: Tensor, channels: int) -> Tensor:
    """Return `own` where a mask (R, *size) is one, `other` where it is zero."""
    mask = mask.unsqueeze(channels)
    if mask.dtype == torch.bool:
        return own.where(mask, other)
    return weighed(own, other, mask)


def weighed(own: Tensor, other: Tensor, ratio: Tensor) -> Tensor:
    """Return ``ratio * own + (1 - ratio) * other`` in the dtype of `own`.

    Halves are computed in float32, where a ratio close to 0 or 1 keeps its digits. Both weights are
    taken, and not the difference of the activations, so that -inf mixed with itself is -inf.

    Parameters
    ----------
    own, other
        Floating-point tensors of the same shape and dtype.
    ratio
        Float, in a shape that multiplies them.
    """
    wide = torch.promote_types(own.dtype, torch.float32)
    ratio = ratio.to(wide)
    return (ratio * own.to(wide) + (1 - ratio) * other.to(wide)).to(own.dtype)


def fitted(mask: Tensor, x: Tensor, channels: int) -> Tensor | None:
    """Return a mask (R, *size) for another tensor of the same examples, or None where it cannot be.

    Sequences must have as many positions as the mask; maps may have another size.
    """
    size = tuple(n for d, n in enumerate(x.shape) if d not in (0, channels % x.ndim))
    if len(size) != mask.ndim - 1:
        return None
    if size == tuple(mask.shape[1:]):
        return mask
    if len(size) < 2:
        return None
    near = F.interpolate(mask.float()[:, None], size=size, mode="nearest-exact")[:, 0]
    return near.to(mask.dtype)


def kept(mask: Tensor) -> Tensor:
    """Return the share of the own example, float32: () for one row, else (B,)."""
    flat = mask.flatten(1)
    share = flat.sum(1, dtype=torch.float32) / flat.shape[1]
    return share[0] if len(share) == 1 else share


def rows(ratio: Tensor) -> Tensor:
    """Return a number of the batch as one row, (1,); one for each example as it is."""
    return ratio.reshape(-1)


def along(rows: Tensor, ndim: int) -> Tensor:
    """Return numbers (R,) in a shape that multiplies an activation of `ndim` dimensions."""
    return rows.view(-1, *[1] * (ndim - 1))
