"""Linear probe (Alain, Bengio, 2017): how well does a linear classifier do on held-out rows?

Ridge regression onto one-hot labels in its dual form, which needs no steps and no learning rate.
Every second member of each class is held out, then the others. The ridge is the one of a grid that
has the least leave-one-out error among the training rows, in closed form (Allen, 1974): a fixed one
would fail layers whose width is about their number of rows.
"""

import torch
from torch import Tensor

from layermix.geometry.layer import Layer

_RIDGES = tuple(10.0**k for k in range(-5, 3))  # times the mean squared length


def linear_probe(layer: Layer) -> float:
    """Return the accuracy on held-out rows, the mean of the two halves by their size."""
    order = layer.labels.argsort(stable=True)
    half = torch.empty_like(layer.labels)
    half[order] = torch.arange(len(order), device=order.device) % 2
    return sum(_hits(layer, half == k, half != k) for k in (0, 1)) / len(layer)


def _hits(layer: Layer, train: Tensor, test: Tensor) -> int:
    """Return how many test rows a probe trained on the others gets right."""
    gram, targets = layer.gram[train], layer.members[train]
    among, across = gram[:, train], layer.gram[test][:, train]
    average = among.mean(0)  # inner products with the training mean
    centred = among - average - average[:, None] + average.mean()
    crossed = across - across.mean(1, keepdim=True) - average + average.mean()
    weights = _ridge_regression(centred, targets - targets.mean(0))
    guess = (crossed @ weights + targets.mean(0)).argmax(1)
    return int((guess == layer.labels[test]).sum())


def _ridge_regression(gram: Tensor, targets: Tensor) -> Tensor:
    """Return dual weights, (n, K), at the ridge with the least leave-one-out error.

    Parameters
    ----------
    gram
        Inner products of n centred rows, float64 (n, n).
    targets
        Centred targets, float64 (n, K).
    """
    values, vectors = torch.linalg.eigh(gram)
    scale = gram.diagonal().mean().clamp_min(torch.finfo(gram.dtype).tiny)
    turned = vectors.T @ targets
    ridges = [ridge * scale for ridge in _RIDGES]
    best = min(ridges, key=lambda ridge: _left_out(values, vectors, turned, targets, ridge))
    return vectors @ (turned / (values.clamp_min(0) + best)[:, None])


def _left_out(
    values: Tensor, vectors: Tensor, turned: Tensor, targets: Tensor, ridge: Tensor
) -> float:
    """Return the sum of squared leave-one-out errors, each row's error over 1 - its leverage."""
    shares = values.clamp_min(0) / (values.clamp_min(0) + ridge)
    errors = targets - vectors @ (shares[:, None] * turned)
    leverage = vectors.square() @ shares + 1 / len(targets)  # the mean is fitted too
    return float((errors / (1 - leverage).clamp_min(1e-12)[:, None]).square().sum())
