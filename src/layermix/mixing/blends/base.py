"""The base classes of blends. A blend combines the activations of two examples.

A blend is an immutable configuration with two methods. `draw` returns its random numbers for a
plan, before the shape of the activation is known. `__call__` is a pure function: it returns the
mixed values and the label weights after mixing, such as the area that was not cut.

Shapes: B batch; R rows, 1 if the batch has one ratio, else B.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
from torch import Tensor

from layermix.errors import InputError, brief
from layermix.mixing.pairs import Pairs
from layermix.mixing.tensors import take

Arrays = dict[str, np.ndarray]  # random numbers of a blend by name; see `Blend.draw`
Draws = Mapping[str, Tensor]  # the same numbers as tensors of a plan


class LabelWeights(NamedTuple):
    """The weights of labels after mixing; see `Blended`."""

    weight: Tensor
    mask: Tensor | None = None


class Blended(NamedTuple):
    """A mixed activation, and the label weights after mixing.

    Attributes
    ----------
    values
        Mixed activation, with the dtype and memory format of the input.
    weight
        Weight of each example's label, float () or (B,), in [0, 1]. If each mix combines the
        whole batch, the weight of each label in each mix, (N, B); rows sum to 1.
    mask
        Share of the example at each position, bool or float (R, *size), for blends that cut.
    """

    values: Tensor
    weight: Tensor
    mask: Tensor | None = None

    @property
    def label_weights(self) -> LabelWeights:
        """The label weights, without the mixed values."""
        return LabelWeights(self.weight, self.mask)


@dataclass(frozen=True)
class Blend:
    """Base class of blends, which combine two activations.

    Attributes
    ----------
    default_ratio
        Ratio used if neither ratio nor alpha is given; None to draw it from Beta(alpha, alpha).
    positional
        True if it treats positions differently, so that several tensors need the same mask.
    moves_positions
        True if it moves the partner's positions, so that labels of positions cannot be mixed.
    linear_equivariant
        True if mixing commutes with a linear layer and is cheaper after it.
    changes_batch_size
        True if it returns more rows than the batch has examples.
    """

    default_ratio: ClassVar[float | None] = None
    positional: ClassVar[bool] = False
    moves_positions: ClassVar[bool] = False
    linear_equivariant: ClassVar[bool] = False
    changes_batch_size: ClassVar[bool] = False

    def __init_subclass__(cls) -> None:
        """Reset inherited `mix_batch` and `linear_equivariant` if a subclass changes `__call__`."""
        if "__call__" in vars(cls):
            for name in {"mix_batch", "linear_equivariant"} - set(vars(cls)):
                setattr(cls, name, vars(Blend)[name])

    def draw(self, rng: np.random.Generator, rows: tuple[int, ...], batch: int) -> Arrays:
        """Draw the random numbers that the blend needs for a batch, besides ratio and partner.

        Their first dimensions are `rows`, the shape of the ratio: () or (B,).
        """
        return {}

    def weight(self, ratio: Tensor, draws: Draws) -> Tensor | None:
        """Return the weight of each example's label, or None if it depends on the activations."""
        return None

    def __call__(
        self, own: Tensor, other: Tensor, ratio: Tensor, draws: Draws, channels: int
    ) -> Blended:
        """Mix the activations of examples and partners; the inputs are not modified.

        Parameters
        ----------
        own, other
            Activations of the examples and of their partners, floating point (B, ...).
        ratio
            Weight of `own`, float () or (B,), in [0, 1].
        draws
            The result of `draw`, as tensors.
        channels
            Dimension of the channels: 1 for maps, -1 for tokens.

        Raises
        ------
        InputError
            If the blend cannot mix an activation of this shape.
        """
        raise NotImplementedError

    def mix_batch(self, x: Tensor, pairs: Pairs, draws: Draws, channels: int) -> Blended:
        """Mix a batch (B, ...) with its partners; override it to avoid a copy of partners."""
        return self(x, take(x, pairs.partner), pairs.view, draws, channels)


@dataclass(frozen=True)
class RatioBlend(Blend):
    """A blend whose label weight is always the ratio."""

    def weight(self, ratio: Tensor, draws: Draws) -> Tensor:
        """Return the ratio."""
        return ratio


def mix_error(x: object, batch_size: int) -> InputError:
    """Return the error for a value that cannot be mixed by a plan for a batch of this size."""
    if not isinstance(x, Tensor):
        return InputError(f"cannot mix {brief(x)}: pass a tensor, torch.as_tensor(x)")
    if not x.is_floating_point():
        return InputError(
            f"cannot mix a tensor of dtype {x.dtype} and shape {tuple(x.shape)}: mixing needs "
            "floating point. Convert images with .float(); mix token ids after their embedding"
        )
    return InputError(
        f"cannot mix a tensor of shape {tuple(x.shape)} with a plan drawn for a batch of "
        f"{batch_size}: the first dimension must be the batch"
    )


def check_blended(blend: Blend, x: Tensor, blended: object) -> None:
    """Raise an `InputError` if a blend did not return a `Blended` of an allowed shape."""
    if not isinstance(blended, Blended):
        raise InputError(
            f"the blend {blend!r} returned a {type(blended).__name__}, but must return a "
            "layermix.mixing.Blended(values, weight)"
        )
    if blended.values.shape != x.shape and not blend.changes_batch_size:
        raise InputError(
            f"the blend {blend!r} returned {tuple(blended.values.shape)} for a tensor of shape "
            f"{tuple(x.shape)}: return the same shape, or set changes_batch_size"
        )
