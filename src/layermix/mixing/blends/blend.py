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
from torch import Tensor

from layermix.errors import InputError
from layermix.mixing.blends.arrays import kept, masked, positions, rows
from layermix.mixing.blends.pairs import Pairs

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

    def __init_subclass__(cls) -> None:
        """Let a blend that mixes in another way than its base do without the base's short cuts."""
        if "__call__" in vars(cls):
            for name in {"of_batch", "commutes"} - set(vars(cls)):
                setattr(cls, name, vars(Blend)[name])

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
    def commutes(self) -> bool:
        """Whether it had better follow a linear layer than precede it, where the mix is the same.

        That holds of combinations of examples whose weights sum to one; it pays where there are
        many of them, and fewer numbers behind the layer.
        """
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

    def of_batch(
        self, x: Tensor, pairs: Pairs, ratio: Tensor, draws: Draws, channels: int
    ) -> Blended:
        """Mix the activations of a batch, (B, ...), in pairs.

        It calls the blend on the activations and on those of the partners. Blends that need not
        have those in memory do better.
        """
        return self(x, x[pairs.partner], ratio, draws, channels)


@dataclass(frozen=True)
class ByRatio(Blend):
    """A blend whose label is mixed by the ratio, whatever it does with activations."""

    def weight(self, ratio: Tensor, draws: Draws) -> Tensor:
        """Return the weight of the own label: the ratio."""
        return ratio


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


def whole(blend: Blend, x: Tensor, blended: object) -> Blended:
    """Return what a blend has made of `x`, or say what is wrong with it.

    Raises
    ------
    InputError
        For something else than a `Blended` with a value of the shape of `x`.
    """
    if not isinstance(blended, Blended):
        raise InputError(
            f"the blend {blend!r} returned a {type(blended).__name__}, but must return a "
            "layermix.mixing.Blended(values, weight)"
        )
    if blended.values.shape != x.shape and not blend.grows:
        raise InputError(
            f"the blend {blend!r} made {tuple(blended.values.shape)} of a tensor of shape "
            f"{tuple(x.shape)}: return the same shape, or declare more rows with `grows`"
        )
    return blended
