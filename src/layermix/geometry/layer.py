"""Features of one layer with the classes of the examples, and their shared Gram matrix.

Distances, class means, linear classifiers and variances depend on the features only through the
Gram matrix: the N x N matrix of inner products. It is computed once for all measures.

Shapes: N examples, d features, K classes.
"""

import copy
import math
from collections.abc import Callable, Hashable, Mapping
from functools import cached_property
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor

from layermix.errors import InputError
from layermix.geometry.distances import exact_products, scale_of

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
        features, labels = _drop_ignored(features, labels, ignore_index)
        self.features = as_matrix(features)
        _, labels, counts = labels.unique(return_inverse=True, return_counts=True)
        classes, least = len(counts), int(counts.min())
        if classes < 2 or least < 2:
            raise InputError(
                f"{len(labels)} examples of {classes} classes, the smallest with {least}: geometry "
                "needs at least two classes with two examples each"
            )
        self.labels, self.counts = (each.to(self.features.device) for each in (labels, counts))
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
        return float(self._products.scale)

    @property
    def exact(self) -> bool:
        """True if inner products are computed in float64, False if in float32."""
        n, d = self.features.shape
        return n * n * d <= _EXACT or self.features.dtype == torch.float64

    @property
    def gram(self) -> Tensor:
        """Inner products of centered features, divided by `scale`**2, float64 (N, N)."""
        return self._products.gram

    @cached_property
    def distances(self) -> Tensor:
        """Squared distances between examples / `scale`**2, float64 (N, N), inf on the diagonal."""
        norms = self.gram.diagonal()
        return (norms[:, None] + norms - 2 * self.gram).clamp_min(0).fill_diagonal_(math.inf)

    @cached_property
    def cosines(self) -> Tensor:
        """Cosines between examples, not centered, float64 (N, N); 0 for an example of zeros."""
        gram, along, norms, mean, _ = self._products
        # The diagonal of `raw` has rounding errors, so it cannot show which norms are 0.
        raw = gram + along[:, None] + along + mean
        found = (raw / norms[:, None] / norms).clamp_(-1, 1)
        return found.where((norms > 0)[:, None] & (norms > 0), 0.0)

    @cached_property
    def one_hot(self) -> Tensor:
        """One-hot classes, float64 (N, K)."""
        return torch.nn.functional.one_hot(self.labels, len(self.counts)).double()

    @cached_property
    def _products(self) -> "_Products":
        dtype = torch.float64 if self.exact else torch.float32
        parts, scale = self.features.split(_CHUNK, 1), scale_of(self.features)
        means = [part.double().mean(0) / scale for part in parts]
        gram = self.features.new_zeros(len(self), len(self), dtype=torch.float64)
        along, norms = gram.new_zeros(2, len(gram))
        with exact_products(gram.device):
            for part, mean in zip(parts, means, strict=True):
                x = part.to(dtype) / scale.to(dtype) - mean.to(dtype)
                gram += x @ x.T
                along += x @ mean.to(dtype)
                norms += (part.double() / scale).square().sum(1)
        # The subtracted mean was rounded: center again, or the error would count as a direction.
        rest = gram.mean(0)
        gram -= rest[:, None] + rest - rest.mean()
        square = torch.stack([mean.square().sum() for mean in means]).sum()
        return _Products(gram, along - along.mean(), norms.sqrt_(), square, scale)


class _Products(NamedTuple):
    """Inner products, float64; the features are divided by `scale`."""

    gram: Tensor  # of centered features, (N, N)
    along: Tensor  # of centered features and their mean, (N,)
    norms: Tensor  # of the features, (N,)
    mean: Tensor  # the mean with itself, ()
    scale: Tensor  # ()


def on_cpu(layers: Mapping[str, LayerFeatures]) -> dict[str, LayerFeatures]:
    """Return layers whose inner products are on the CPU, moved there in one transfer.

    They are computed on the device of the features. All further operations are then faster on the
    CPU, because matrices of a few hundred examples are too small for a GPU.
    """
    several = [value for layer in layers.values() for value in layer._products]
    packed = torch.cat([value.flatten() for value in several]).cpu()
    parts = iter(packed.split([value.numel() for value in several]))
    found = {name: copy.copy(layer) for name, layer in layers.items()}
    for layer in found.values():
        moved = [next(parts).view(value.shape) for value in layer._products]
        layer.labels, layer.counts, layer._results = layer.labels.cpu(), layer.counts.cpu(), {}
        vars(layer)["_products"] = _Products(*moved)
    return found


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
    return (features, labels) if keep.all() else (features[keep.to(features.device)], labels[keep])
