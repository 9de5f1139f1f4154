"""Leave-one-out accuracy of k nearest neighbours (Cover, Hart, 1967)."""

import torch

from layermix.geometry.layer import Layer

_K = 5


def neighbours(layer: Layer) -> float:
    """Return the share of examples whose 5 nearest neighbours vote for their class.

    Among classes with equal votes the one with the nearer neighbours wins.
    """
    k = min(_K, len(layer) - 1)
    nearest = layer.distances.topk(k, largest=False).indices  # (N, k), the nearest first
    weights = 1 + 1e-3 * torch.arange(k, 0, -1, device=nearest.device, dtype=torch.float64)
    votes = (layer.members[nearest] * weights[:, None]).sum(1)  # (N, K)
    return float((votes.argmax(1) == layer.labels).double().mean())
