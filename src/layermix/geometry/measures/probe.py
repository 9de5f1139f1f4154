"""Linear probe (Alain, Bengio, 2017): how well does a linear classifier do on held-out rows?

Ridge regression onto one-hot labels in its dual form, with the ridge at 0.1% of the mean squared
length: the classifier of least squares, which needs no steps and no learning rate. Every second
member of each class is held out, then the others.
"""

import torch
from torch import Tensor

from layermix.geometry.layer import Layer

_RIDGE = 1e-3


def linear_probe(layer: Layer) -> float:
    """Return the accuracy on held-out rows, the mean of the two halves by their size."""
    order = layer.labels.argsort(stable=True)
    half = torch.empty_like(layer.labels)
    half[order] = torch.arange(len(order), device=order.device) % 2
    return sum(_hits(layer, half == k, half != k) for k in (0, 1)) / len(layer)


def _hits(layer: Layer, train: Tensor, test: Tensor) -> int:
    """Return how many test rows a probe trained on the others gets right."""
    gram, targets = layer.gram, layer.members[train]
    among, across = gram[train][:, train], gram[test][:, train]
    average = among.mean(0)  # inner products with the training mean
    centred = among - average - average[:, None] + average.mean()
    crossed = across - across.mean(1, keepdim=True) - average + average.mean()
    ridge = _RIDGE * centred.diagonal().mean().clamp_min(torch.finfo(gram.dtype).tiny)
    eye = torch.eye(len(centred), dtype=gram.dtype, device=gram.device)
    weights = torch.linalg.solve(centred + ridge * eye, targets - targets.mean(0))
    guess = (crossed @ weights + targets.mean(0)).argmax(1)
    return int((guess == layer.labels[test]).sum())
