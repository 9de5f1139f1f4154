"""Flattening (Verma et al., 2019, "Manifold Mixup"): in how many directions do classes vary?

The share of a class's variance that lies outside its leading direction, averaged over classes.
Manifold Mixup concentrates each class on few directions.
"""

import torch

from layermix.geometry.layer import Layer


def spectrum(layer: Layer) -> float:
    """Return the mean share of variance off the leading direction; a point of a class has 0."""
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
