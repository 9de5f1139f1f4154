"""Intrusion: a mixed point that lands among a class it does not belong to.

A mix of two *red* examples whose nearest real example is *blue* is labelled red all the same: bad
augmentation. Of a mix of red and green the nearest may be red or green, but not blue.
"""

import torch
from torch import Tensor


def intruders(mixed: Tensor, features: Tensor, labels: Tensor, partner: Tensor) -> Tensor:
    """Tell which mixed points have their nearest real neighbour in a class of neither parent.

    Parameters
    ----------
    mixed
        Mixed points, shape (N, ...); point i is a mix of examples i and ``partner[i]``.
    features
        The real examples at the same layer, shape (N, ...).
    labels
        Their integer classes, shape (N,).
    partner
        Partner of each example, int64, shape (N,).

    Returns
    -------
    Tensor
        Booleans, shape (N,). The two parents do not count as neighbours.
    """
    own = torch.arange(len(features), device=features.device)
    distance = torch.cdist(mixed.flatten(1).double(), features.flatten(1).double())  # (N, N)
    distance[own, own] = torch.inf
    distance[own, partner] = torch.inf
    neighbour = labels[distance.argmin(1)]
    return (neighbour != labels) & (neighbour != labels[partner])
