"""One layer's features as its measures see them: through the inner products of examples.

Distances, centres, probes, variances: all of them depend on the features only through the N x N
matrix of inner products (the Gram matrix), so that it is computed once and serves every measure,
whatever the width of the layer.

Shapes: N examples, d features, K classes.
"""

import functools
import math
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

import torch
from torch import Tensor

from layermix.errors import InputError
from layermix.geometry.checks import labeled
from layermix.geometry.distances import power_of_two
from layermix.geometry.precision import full_precision

_EXACT = 1 << 30  # N * N * d up to which inner products are computed in float64
_CHUNK = 1024  # features multiplied at a time beyond: sums over chunks are float64


class Layer:
    """Features of N examples at one layer, with their classes.

    Parameters
    ----------
    features
        Floating point, shape (N, ...), flattened to (N, d).
    labels
        Integer classes, shape (N,); at least two classes, each with two members or more.
    ignore_index
        Label of examples that are left out.

    Attributes
    ----------
    features, labels
        As given, flattened, without ignored examples; labels are 0 to K-1.
    counts
        Members of each class, int64 (K,).
    """

    def __init__(self, features: Tensor, labels: Tensor, ignore_index: int = -100) -> None:
        features, labels = labeled(features, labels.to(features.device), ignore_index)
        device = "cpu" if features.device.type == "mps" else features.device  # no float64 there
        self.features = features.detach().flatten(1).to(device)
        _, self.labels, self.counts = labels.to(device).unique(
            return_inverse=True, return_counts=True
        )
        if len(self.counts) < 2 or int(self.counts.min()) < 2:
            raise InputError(
                f"{len(labels)} examples of {len(self.counts)} classes, the smallest with "
                f"{int(self.counts.min())}: geometry needs two classes or more, and two examples "
                "or more of each"
            )

        self._found: dict[object, Any] = {}  # what `once` keeps

    def __len__(self) -> int:
        return len(self.labels)

    @functools.cached_property
    def scale(self) -> float:
        """A power of two near the largest absolute feature; inner products are in its square."""
        return power_of_two(self.features)

    @property
    def exact(self) -> bool:
        """Whether inner products are those of float64, and not sums of float32 products."""
        n, d = self.features.shape
        return n * n * d <= _EXACT or self.features.dtype == torch.float64

    @property
    def gram(self) -> Tensor:
        """Inner products of the centred examples over `scale` squared, float64 (N, N)."""
        return self._products[0]

    @functools.cached_property
    def cosines(self) -> Tensor:
        """Cosines of the examples as they are, float64 (N, N); 0 with an example of zeros."""
        gram, along = self._products
        raw = gram + along[:, None] + along + self._mean.square().sum()
        # Lengths of the features themselves: where they are 0, the diagonal of `raw` is rounding.
        lengths = torch.zeros_like(along)
        for part in self.features.split(_CHUNK, 1):
            lengths += (part.double() / self.scale).square().sum(1)
        lengths.sqrt_()
        found = (raw / lengths[:, None] / lengths).clamp_(-1, 1)
        return found.where((lengths > 0)[:, None] & (lengths > 0), 0.0)

    @functools.cached_property
    def _mean(self) -> Tensor:
        """The mean of all examples over `scale`, float64 (d,)."""
        parts = self.features.split(_CHUNK, 1)
        return torch.cat([part.double().mean(0) for part in parts]) / self.scale

    @functools.cached_property
    def _products(self) -> tuple[Tensor, Tensor]:
        """Inner products of the centred examples with one another, and with the mean, (N,)."""
        n = len(self)
        dtype = torch.float64 if self.exact else torch.float32
        gram = torch.zeros(n, n, dtype=torch.float64, device=self.features.device)
        along = torch.zeros_like(gram[0])
        with full_precision(gram.device):
            for part, mean in zip(
                self.features.split(_CHUNK, 1), self._mean.split(_CHUNK), strict=True
            ):
                x = part.to(dtype) / self.scale - mean.to(dtype)
                gram += x @ x.T
                along += x @ mean.to(dtype)
        # The mean that was taken off is rounded: what is left of it would count as a direction.
        rest = gram.mean(0)
        gram -= rest[:, None] + rest - rest.mean()
        return gram, along - along.mean()

    @functools.cached_property
    def distances(self) -> Tensor:
        """Squared distances over `scale` squared, float64 (N, N), infinite to oneself."""
        norms = self.gram.diagonal()
        return (norms[:, None] + norms - 2 * self.gram).clamp_min(0).fill_diagonal_(math.inf)

    @functools.cached_property
    def members(self) -> Tensor:
        """One-hot classes, float64 (N, K)."""
        return torch.nn.functional.one_hot(self.labels, len(self.counts)).double()


P = ParamSpec("P")
R = TypeVar("R")


def once(compute: Callable[Concatenate[Layer, P], R]) -> Callable[Concatenate[Layer, P], R]:
    """Compute something of a layer once, whichever of its measures ask for it."""

    @functools.wraps(compute)
    def recalled(layer: Layer, *args: P.args, **options: P.kwargs) -> R:
        key = (compute, args, *options.items())
        if key not in layer._found:
            layer._found[key] = compute(layer, *args, **options)
        return layer._found[key]

    return recalled
