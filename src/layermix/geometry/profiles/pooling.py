"""From an activation to one vector for each example: which positions count, and how.

Maps and vectors are flattened. Tokens are averaged over their positions, where there is an
attention mask over those that it keeps. A layer has tokens where one of its examples is a matrix
whose rows a LayerNorm of the model normalises; a matrix elsewhere, as in one-dimensional
convolutions, is channels by positions.

Shapes: B batch, L positions, d features.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from layermix.errors import unknown

Pool = Literal["auto", "flatten", "mean", "first", "last"]


@dataclass(frozen=True)
class Pooling:
    """How the activations of one layer become vectors.

    Attributes
    ----------
    how
        ``"flatten"``, or which of the positions: their ``"mean"``, the ``"first"``, the ``"last"``.
    positions
        Dimensions that run over positions, the batch being dimension 0.
    count
        Number of positions.
    features
        Length of the vector.
    """

    how: Literal["flatten", "mean", "first", "last"]
    positions: tuple[int, ...]
    count: int
    features: int

    def __call__(self, activation: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return vectors (B, d), float64 where the activation is, else float32.

        Parameters
        ----------
        activation
            Shape (B, ...).
        mask
            Where positions are one dimension of length L: those that count, shape (B, L).
        """
        x = activation if activation.dtype == torch.float64 else activation.float()
        if self.how == "flatten":
            return x.flatten(1)
        x = x.movedim(self.positions, tuple(range(1, 1 + len(self.positions))))
        x = x.flatten(1, len(self.positions)).flatten(2)  # (B, L, d)
        if mask is None or mask.shape != x.shape[:2]:
            return {"mean": x.mean(1), "first": x[:, 0], "last": x[:, -1]}[self.how]
        keep = mask.to(x)
        if self.how == "mean":
            return (x * keep[..., None]).sum(1) / keep.sum(1, keepdim=True).clamp_min(1)
        order = torch.arange(1, x.shape[1] + 1, device=x.device)
        place = (keep * (order if self.how == "last" else order.flip(0))).argmax(1)
        return x[torch.arange(len(x), device=x.device), place]

    def __str__(self) -> str:
        if not self.positions:
            return "as it is"
        if self.how == "flatten":
            return "flattened"
        return f"{self.how} of {self.count} positions"


def pooling(shape: Sequence[int], pool: Pool, widths: set[int]) -> Pooling:
    """Return how activations of a shape become vectors.

    Parameters
    ----------
    shape
        Of one example.
    pool
        What is asked for; ``"auto"``: the mean of tokens, all else flattened.
    widths
        Number of features that norms over the last dimension have in the model (`norm_widths`).
    """
    if pool not in get_args(Pool):
        raise unknown("pool", pool, get_args(Pool))
    size = math.prod(shape)
    if len(shape) < 2:
        return Pooling("flatten", (), 1, size)
    last = shape[-1] in widths and (len(shape) == 2 or shape[0] not in widths)
    channels = len(shape) if last else 1  # the dimension of the features, batch counted
    positions = tuple(d for d in range(1, len(shape) + 1) if d != channels)
    tokens = last and len(shape) == 2
    how = ("mean" if tokens else "flatten") if pool == "auto" else pool
    count = size // shape[channels - 1]
    return Pooling(how, positions, count, size if how == "flatten" else shape[channels - 1])


def norm_widths(model: nn.Module) -> set[int]:
    """Return how many features the model's norms over the last dimension have.

    These are LayerNorm and RMSNorm, by these or similar names; batch and group norms are not.
    """
    across = nn.modules.batchnorm._NormBase | nn.GroupNorm
    found = set()
    for module in model.modules():
        weight = getattr(module, "weight", None)
        if "Norm" in type(module).__name__ and not isinstance(module, across):
            shape = getattr(module, "normalized_shape", None) or getattr(weight, "shape", ())
            if isinstance(shape, tuple) and len(shape) == 1:
                found.add(int(shape[0]))
    return found
