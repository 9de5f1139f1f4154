"""The base classes of blends: how the activations of two examples become one.

A blend is immutable configuration with two methods. `draw` returns its random numbers with the
plan, before the shape of the activation is known. Calling the blend is a pure function: it returns
the mixed values and the label weights after mixing, such as the area that was not cut.

Shapes: B batch; R rows, 1 for a ratio of the batch, else B.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
from torch import Tensor

from layermix.errors import InputError, brief
from layermix.mixing.pairs import Pairs
from layermix.mixing.tensors import take

Arrays = dict[str, np.ndarray]  # random numbers by name; the first dimensions are the ratio's
Draws = Mapping[str, Tensor]  # the same in a plan


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
        Weight of each example's label, float () or (B,), in [0, 1]. If all examples are mixed,
        the weight of each label in each mix, (N, B); rows sum to 1.
    mask
        Share of the example at each position, bool or float (R, *size), for blends that cut.
    """

    values: Tensor
    weight: Tensor
    mask: Tensor | None = None

    @property
    def label_weights(self) -> LabelWeights:
        """The label weights without the values."""
        return LabelWeights(self.weight, self.mask)


@dataclass(frozen=True)
class Blend:
    """How two activations become one.

    Attributes
    ----------
    default_ratio
        Ratio used if neither ratio nor alpha is given; None for the default law.
    positional
        True if it treats positions differently, so that several tensors need the same mask.
    moves_positions
        True if positions of the partner end up elsewhere, so that their labels cannot follow.
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
        """Reset the short cuts of the base in a class that defines how it mixes."""
        if "__call__" in vars(cls):
            for name in {"mix_batch", "linear_equivariant"} - set(vars(cls)):
                setattr(cls, name, vars(Blend)[name])

    def draw(self, rng: np.random.Generator, rows: tuple[int, ...], batch: int) -> Arrays:
        """Return the random numbers needed beyond ratio and partner, for a batch of B.

        Their first dimensions are `rows`, the shape of the ratio: () or (B,).
        """
        return {}

    def weight(self, ratio: Tensor, draws: Draws) -> Tensor | None:
        """Return the weight of the example's label, or None if only mixing determines it."""
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
        """Mix a batch, (B, ...); override it if the partners' rows need not be in memory."""
        return self(x, take(x, pairs.partner), pairs.view, draws, channels)


@dataclass(frozen=True)
class RatioBlend(Blend):
    """A blend whose label weight is the ratio, however it mixes activations."""

    def weight(self, ratio: Tensor, draws: Draws) -> Tensor:
        """Return the ratio."""
        return ratio


def mix_error(x: object, batch_size: int) -> InputError:
    """Return the error for a value that a plan of this batch size cannot mix."""
    if not isinstance(x, Tensor):
        return InputError(f"cannot mix {brief(x)}: give a tensor, torch.as_tensor(x)")
    if not x.is_floating_point():
        return InputError(
            f"cannot mix a tensor of dtype {x.dtype} and shape {tuple(x.shape)}: mixing needs "
            "floating point. Convert images with .float(); mix token ids after their embedding"
        )
    return InputError(
        f"cannot mix a tensor of shape {tuple(x.shape)} by a plan drawn for a batch of "
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
