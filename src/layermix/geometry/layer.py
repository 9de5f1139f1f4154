"""Features of one layer with the classes of the examples, and their shared Gram matrix.

Distances, class means, linear classifiers and variances depend on the features only through the
Gram matrix: the N x N matrix of inner products. It is computed once for all measures.

Shapes: N examples, d features, K classes.
"""

import math
from collections.abc import Callable, Hashable
from functools import cached_property
from typing import Any, TypeVar

import torch
from torch import Tensor

from layermix.errors import InputError
from layermix.geometry.distances import exact_products, power_of_two

_EXACT = 1 << 30  # maximum N * N * d for inner products in float64
_CHUNK = 1024  # features per matrix product; sums over chunks are float64

R = TypeVar("R")


class LayerFeatures:
    """Features of N examples at one layer, and the classes of the examples.

    Parameters
    ----------
    features
        Floating point, shape (N, ...), flattened to (N, d).
    labels
        Integer classes, shape (N,), which are renumbered from 0 to K-1. If there are fewer than two
        classes, or a class has a single example, an `InputError` is raised.
    ignore_index
        Label of examples to ignore.

    Examples
    --------
    >>> layer = LayerFeatures(torch.eye(4), torch.tensor([3, 3, 7, 7]))
    >>> layer.labels.tolist(), layer.counts.tolist(), layer.gram.shape
    ([0, 0, 1, 1], [2, 2], torch.Size([4, 4]))
    """

    def __init__(self, features: Tensor, labels: Tensor, ignore_index: int = -100) -> None:
        features, labels = _drop_ignored(features, labels.to(features.device), ignore_index)
        self.features = as_matrix(features)
        labels = labels.to(self.features.device)
        _, self.labels, self.counts = labels.unique(return_inverse=True, return_counts=True)
        classes, least = len(self.counts), int(self.counts.min())
        if classes < 2 or least < 2:
            raise InputError(
                f"{len(labels)} examples of {classes} classes, the smallest with {least}: geometry "
                "needs at least two classes with two examples each"
            )
        self._results: dict[Hashable, Any] = {}

    def __len__(self) -> int:
        return len(self.labels)

    def once(self, key: Hashable, compute: Callable[[], R]) -> R:
        """Return ``compute()``, which is called once for each key and then cached."""
        if key not in self._results:
            self._results[key] = compute()
        return self._results[key]

    @cached_property
    def scale(self) -> float:
        """A power of two near the largest absolute value of the features."""
        return power_of_two(self.features)

    @property
    def exact(self) -> bool:
        """True if inner products are computed in float64, False if in float32."""
        n, d = self.features.shape
        return n * n * d <= _EXACT or self.features.dtype == torch.float64

    @property
    def gram(self) -> Tensor:
        """Inner products of centered features, divided by `scale`**2, float64 (N, N)."""
        return self._products[0]

    @cached_property
    def distances(self) -> Tensor:
        """Squared distances between examples / `scale`**2, float64 (N, N), inf on the diagonal."""
        norms = self.gram.diagonal()
        return (norms[:, None] + norms - 2 * self.gram).clamp_min(0).fill_diagonal_(math.inf)

    @cached_property
    def cosines(self) -> Tensor:
        """Cosines between examples, not centered, float64 (N, N); 0 for an example of zeros."""
        gram, along, mean = self._products
        raw = gram + along[:, None] + along + mean.square().sum()
        # The diagonal of `raw` has rounding errors, so it cannot show which norms are 0.
        norms = torch.zeros_like(along)
        for part in self.features.split(_CHUNK, 1):
            norms += (part.double() / self.scale).square().sum(1)
        norms.sqrt_()
        found = (raw / norms[:, None] / norms).clamp_(-1, 1)
        return found.where((norms > 0)[:, None] & (norms > 0), 0.0)

    @cached_property
    def one_hot(self) -> Tensor:
        """One-hot classes, float64 (N, K)."""
        return torch.nn.functional.one_hot(self.labels, len(self.counts)).double()

    @cached_property
    def _products(self) -> tuple[Tensor, Tensor, Tensor]:
        """Gram matrix (N, N) of centered features, their products with the mean, and the mean."""
        dtype, parts = (
            torch.float64 if self.exact else torch.float32,
            self.features.split(_CHUNK, 1),
        )
        means = [part.double().mean(0) / self.scale for part in parts]
        gram = self.features.new_zeros(len(self), len(self), dtype=torch.float64)
        along = torch.zeros_like(gram[0])
        with exact_products(gram.device):
            for part, mean in zip(parts, means, strict=True):
                x = part.to(dtype) / self.scale - mean.to(dtype)
                gram += x @ x.T
                along += x @ mean.to(dtype)
        # The subtracted mean was rounded: center again, or the error would count as a direction.
        rest = gram.mean(0)
        gram -= rest[:, None] + rest - rest.mean()
        return gram, along - along.mean(), torch.cat(means)


def checked_features(features: Tensor, labels: Tensor, ignore_index: int) -> tuple[Tensor, Tensor]:
    """Check features and labels, and return them without the ignored examples."""
    for name, value in (("features", features), ("labels", labels)):
        if not isinstance(value, Tensor):
            kind = type(value).__name__
            raise InputError(f"{name} are a {kind}, but must be a tensor: torch.as_tensor({name})")
    if not features.is_floating_point():
        raise InputError(f"features must be floating point, but are {features.dtype}")
    if labels.ndim != 1 or labels.is_floating_point():
        raise InputError(
            f"labels must be integer classes of shape (N,), but are {labels.dtype} of shape "
            f"{tuple(labels.shape)}"
        )
    if features.ndim < 2 or len(features) != len(labels):
        raise InputError(
            f"features must have shape (N, ...) with N = {len(labels)}, the number of labels, but "
            f"have shape {tuple(features.shape)}"
        )
    return _drop_ignored(features, labels, ignore_index)


def not_finite(features: Tensor) -> str | None:
    """Return a text with the number of examples whose features are NaN or infinite, or None."""
    bad = ~features.isfinite().flatten(1).all(1)
    if not bad.any():
        return None
    count, first = int(bad.sum()), int(bad.nonzero()[0])
    return (
        f"{count} of {len(bad)} examples {'has' if count == 1 else 'have'} features that are NaN "
        f"or infinite, the first at row {first}"
    )


def as_matrix(features: Tensor) -> Tensor:
    """Return features as a matrix (N, d), detached, on a device that has float64."""
    features = features.detach().flatten(1)
    return features.cpu() if features.device.type == "mps" else features


def _drop_ignored(features: Tensor, labels: Tensor, ignore_index: int) -> tuple[Tensor, Tensor]:
    keep = labels != ignore_index
    return (features, labels) if keep.all() else (features[keep], labels[keep])
