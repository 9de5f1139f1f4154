"""How far have the classes collapsed: variability within classes, in units of that between them.

NC1 (Papyan, Han, Donoho, 2020): Tr(Sigma_W Sigma_B^+) / K, with Sigma_W the covariance of examples
about their class means and Sigma_B that of the K class means about the global mean. Separation
fuzziness (He, Su, 2023, "A Law of Data Separation in Deep Learning"): Tr(SS_W SS_B^+), in which a
class counts by its members. Both are zero where each class is one point.

Only the directions in which class means differ matter, at most K - 1 of them; they are the
eigenvectors of the class means' inner products.
"""

import torch
from torch import Tensor

from layermix.geometry.layer import Layer

# Smaller eigenvalues are rounding, of products in float64 or in float32: of the largest one, and of
# the variance of all examples, where class means coincide.
_RANK, _RANK_32 = 1e-10, 1e-6
_VARIANCE, _VARIANCE_32 = 1e-12, 1e-8


def nc1(layer: Layer) -> float:
    """Return Tr(Sigma_W Sigma_B^+) / K."""
    classes = len(layer.counts)
    return _trace(layer, torch.full_like(layer.members[0], 1 / classes)) / classes


def fuzziness(layer: Layer) -> float:
    """Return Tr(SS_W SS_B^+)."""
    return _trace(layer, layer.counts / len(layer))


def _trace(layer: Layer, shares: Tensor) -> float:
    """Return Tr(S_W S_B^+) with S_B = sum over classes of share * m m^T, m the class mean."""
    averages = layer.members / layer.counts  # (N, K)
    inner = layer.gram @ averages  # of examples with class means, (N, K)
    means = averages.T @ inner  # of class means, (K, K)
    roots = shares.sqrt()
    values, vectors = torch.linalg.eigh(roots[:, None] * means * roots)
    values[0] = 0.0  # K means span K - 1 directions; the least eigenvalue comes first
    rank, least = (_RANK, _VARIANCE) if layer.exact else (_RANK_32, _VARIANCE_32)
    keep = values > max(rank * values.max(), least * layer.gram.diagonal().mean())
    if not keep.any():
        return float("inf")
    residual = (inner - means[layer.labels]) * roots @ vectors[:, keep] / values[keep].sqrt()
    return float((residual.square().mean(0) / values[keep]).sum())
