"""Measures of a layer: functions of its features and classes, each with its formula and source.

`quantities.py` registers them.

Shapes: N examples, K classes.
"""

import math

import torch
from torch import Tensor

from layermix.geometry.intrusion import intrusion
from layermix.geometry.layer import LayerFeatures
from layermix.geometry.snnl import layer_snnl

_NEIGHBORS = 5
_RIDGES = tuple(10.0**k for k in range(-5, 3))  # times the mean squared norm
# Eigenvalues of class means are rounding errors below this fraction of the largest one, or of the
# variance of all examples. The first value is for float64 inner products, the second for float32.
_RANK, _VARIANCE = (1e-10, 1e-6), (1e-12, 1e-8)


def snnl_over_chance(layer: LayerFeatures) -> float:
    """Return the SNNL at its best temperature, divided by chance (its value if classes overlap)."""
    return layer_snnl(layer).normalized


def intrusion_between(layer: LayerFeatures) -> float:
    """Return the intrusion of mixes of two classes, divided by chance; NaN with two classes."""
    found = intrusion(layer, ratios=())
    return found.different / found.chance_different if found.chance_different else math.nan


def intrusion_within(layer: LayerFeatures) -> float:
    """Return the intrusion of mixes of examples of one class, divided by chance."""
    found = intrusion(layer, ratios=())
    return found.same / found.chance_same if found.chance_same else math.nan


def knn(layer: LayerFeatures) -> float:
    """Return the leave-one-out accuracy of a 5-nearest-neighbor classifier (Cover, Hart, 1967)."""
    k = min(_NEIGHBORS, len(layer) - 1)
    nearest = layer.distances.topk(k, largest=False).indices  # (N, k), the nearest first
    # Break ties in favor of the class with the nearer neighbors.
    weights = 1 + 1e-3 * torch.arange(k, 0, -1, device=nearest.device, dtype=torch.float64)
    votes = (layer.one_hot[nearest] * weights[:, None]).sum(1)  # (N, K)
    return float((votes.argmax(1) == layer.labels).double().mean())


def nearest_centroid(layer: LayerFeatures) -> float:
    """Return the leave-one-out accuracy of classification by the nearest class mean.

    If a class has n examples with sum S, its mean without example i is (S - x_i) / (n - 1).
    """
    own = layer.one_hot.bool()  # (N, K)
    norms = layer.gram.diagonal()[:, None]  # (N, 1)
    sums = layer.gram @ layer.one_hot  # inner products with the sum of each class, (N, K)
    squares = (layer.one_hot * sums).sum(0).expand_as(sums)  # squared norms of the sums
    counts = layer.counts.double().expand_as(sums)
    inner = sums - norms * own
    lengths = squares - own * (2 * sums - norms)
    members = counts - own.double()
    distances = norms - 2 * inner / members + lengths / members.square()
    return float((distances.argmin(1) == layer.labels).double().mean())


def probe(layer: LayerFeatures) -> float:
    """Return the held-out accuracy of a linear classifier (Alain, Bengio, 2017).

    Each half of each class is held out once. The classifier is a dual ridge regression on one-hot
    labels. Its ridge, from a grid, minimizes the leave-one-out error on the training half (Allen,
    1974): a fixed ridge fails if the number of features is close to the number of training rows.
    """
    order = layer.labels.argsort(stable=True)
    half, hits = torch.empty_like(layer.labels), 0
    half[order] = torch.arange(len(order), device=order.device) % 2
    for train, test in ((half == 0, half == 1), (half == 1, half == 0)):
        among, across = (layer.gram[rows][:, train] for rows in (train, test))
        average, targets = among.mean(0), layer.one_hot[train]
        centered = among - average - average[:, None] + average.mean()
        crossed = across - across.mean(1, keepdim=True) - average + average.mean()
        weights = _ridge_regression(centered, targets - targets.mean(0))
        predicted = (crossed @ weights + targets.mean(0)).argmax(1)
        hits += int((predicted == layer.labels[test]).sum())
    return hits / len(layer)


def _ridge_regression(gram: Tensor, targets: Tensor) -> Tensor:
    """Return the dual weights (n, K) of ridge regression, from a centered Gram matrix (n, n)."""
    values, vectors = torch.linalg.eigh(gram)
    scale = gram.diagonal().mean().clamp_min(torch.finfo(gram.dtype).tiny)
    rotated = vectors.T @ targets

    def squared_error(ridge: Tensor) -> float:
        """Return the sum of squared leave-one-out errors: error of a row / (1 - its leverage)."""
        shares = values.clamp_min(0) / (values.clamp_min(0) + ridge)
        errors = targets - vectors @ (shares[:, None] * rotated)
        leverage = vectors.square() @ shares + 1 / len(targets)  # + 1 / n for the fitted mean
        return float((errors / (1 - leverage).clamp_min(1e-12)[:, None]).square().sum())

    best = min((ridge * scale for ridge in _RIDGES), key=squared_error)
    return vectors @ (rotated / (values.clamp_min(0) + best)[:, None])


def separation(layer: LayerFeatures) -> float:
    """Return the class separation R^2: 1 if classes are points, 0 if they overlap completely.

    R^2 = 1 - mean cosine distance within classes / mean cosine distance of all pairs. All pairs of
    classes have equal weight (Kornblith, Chen, Lee, Norouzi, 2021, "Why Do Better Loss Functions
    Lead to Less Transferable Features?").
    """
    shares = layer.one_hot / layer.counts  # (N, K)
    between = 1 - shares.T @ layer.cosines @ shares  # mean distances between classes, (K, K)
    overall = float(between.mean())
    return 1 - float(between.diagonal().mean()) / overall if overall > 1e-12 else 0.0


def cka(layer: LayerFeatures) -> float:
    """Return the linear CKA between features and labels (Kornblith, Norouzi, Lee, Hinton, 2019).

    CKA = <X X^T, Y Y^T>_F / (|X X^T|_F |Y Y^T|_F) with centered features X and one-hot labels Y.
    """
    y = layer.one_hot - layer.one_hot.mean(0)
    labels = y @ y.T
    size = layer.gram.norm() * labels.norm()
    return float((layer.gram * labels).sum() / size) if size else 0.0


def nc1(layer: LayerFeatures) -> float:
    """Return NC1: scatter within classes relative to that of class means; 0 if classes are points.

    It is Tr(S_W S_B^+) / K, with the covariances S_W of examples around their class means and S_B
    of the class means. Papyan, Han, Donoho (2020).
    """
    classes = len(layer.counts)
    return _trace(layer, torch.full_like(layer.one_hot[0], 1 / classes)) / classes


def fuzziness(layer: LayerFeatures) -> float:
    """Return the separation fuzziness, like `nc1`, but with classes weighted by their size.

    Tr(SS_W SS_B^+), not divided by K. He, Su (2023), "A Law of Data Separation in Deep Learning".
    """
    return _trace(layer, layer.counts / len(layer))


def _trace(layer: LayerFeatures, shares: Tensor) -> float:
    """Return Tr(S_W S_B^+), scatter in classes relative to class means weighted by `shares`."""
    averages = layer.one_hot / layer.counts  # (N, K)
    inner = layer.gram @ averages  # inner products of examples and class means, (N, K)
    means = averages.T @ inner  # inner products of class means, (K, K)
    roots = shares.sqrt()
    # The eigenvectors give the directions in which class means differ.
    values, vectors = torch.linalg.eigh(roots[:, None] * means * roots)
    values[0] = 0.0  # K centered means span K - 1 directions; eigenvalues are ascending
    rank, least = (limits[0 if layer.exact else 1] for limits in (_RANK, _VARIANCE))
    keep = values > max(rank * values.max(), least * layer.gram.diagonal().mean())
    if not keep.any():
        return float("inf")
    residual = (inner - means[layer.labels]) * roots @ vectors[:, keep] / values[keep].sqrt()
    return float((residual.square().mean(0) / values[keep]).sum())


def spectrum(layer: LayerFeatures) -> float:
    """Return the fraction of a class's variance outside its leading direction, mean over classes.

    Manifold Mixup (Verma et al., 2019) flattens classes: it reduces the number of directions.
    """
    shares = []
    for label in range(len(layer.counts)):
        own = layer.labels == label
        gram = layer.gram[own][:, own]
        average = gram.mean(0)
        variances = torch.linalg.eigvalsh(gram - average - average[:, None] + average.mean())
        total = float(variances.sum())
        point = total <= 1e-12 * float(layer.gram.diagonal().sum())
        shares.append(0.0 if point else 1 - float(variances[-1]) / total)
    return sum(shares) / len(shares)
