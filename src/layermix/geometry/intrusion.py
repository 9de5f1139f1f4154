"""Intrusion: a mixed point that lands among a class it does not belong to.

A mix of two *red* examples whose nearest real example is *blue* is labelled red all the same: bad
augmentation. Of a mix of red and green the nearest may be red or green, but not blue.

Shapes: N examples, K classes, r ratios.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from layermix.geometry.layer import Layer, once

RATIOS = (0.1, 0.2, 0.3, 0.4, 0.5)  # a pair in its other order has the ratio 1 - lambda
_PARTNERS = 4  # partners of each example


@dataclass(frozen=True, eq=False)
class Intrusion:
    """How often mixing at a layer intrudes, and how often it would by chance.

    Attributes
    ----------
    different
        Of pairs of two classes: share of mixed points nearest to a third class.
    same
        Of pairs of one class: share of mixed points nearest to another class.
    chance_different, chance_same
        The same, were the nearest neighbour any of the others.
    by_ratio
        For each ratio of the grid and for ``"beta"`` (uniform draws) the pair (different, same).
    by_pair
        Shares by the classes of both parents, over all ratios, float64 (K, K); NaN without a pair.
    """

    different: float
    same: float
    chance_different: float
    chance_same: float
    by_ratio: dict[float | str, tuple[float, float]]
    by_pair: Tensor


def intruders(
    mixed: Tensor, features: Tensor, labels: Tensor, partner: Tensor, *, ignore_index: int = -100
) -> Tensor:
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
    ignore_index
        Label of examples that are no neighbours, and whose mixes have no class to intrude on.

    Returns
    -------
    Tensor
        Booleans, shape (N,). The two parents do not count as neighbours.
    """
    distance = torch.cdist(mixed.flatten(1).double(), features.flatten(1).double())  # (N, N)
    counted = labels != ignore_index
    distance[:, ~counted] = math.inf
    return _foreign(distance, labels, partner) & counted & counted[partner]


@once
def intrusion(layer: Layer, *, seed: int = 0, ratios: tuple[float, ...] = RATIOS) -> Intrusion:
    """Mix pairs of a layer's examples, and count where they land.

    Each example is mixed with four partners, the same for every layer of as many examples, at a
    grid of ratios and at uniform draws, Beta(1, 1).

    Parameters
    ----------
    layer
        Features and classes; three examples or more.
    seed
        Seed of partners and of uniform ratios.
    ratios
        The grid; the shares over all, and by chance, are those of the uniform draws.
    """
    rng, n = np.random.default_rng(seed), len(layer)
    device = layer.gram.device
    bad: dict[float | str, list[Tensor]] = {key: [] for key in (*ratios, "beta")}
    partners = [torch.from_numpy(derangement(rng, n)).to(device) for _ in range(_PARTNERS)]
    for partner in partners:
        drawn = torch.from_numpy(rng.uniform(size=n)).to(device)
        for key in bad:
            ratio = drawn if key == "beta" else torch.full_like(drawn, float(key))
            bad[key].append(_foreign(_distances(layer, partner, ratio), layer.labels, partner))
    partner = torch.cat(partners)
    labels = layer.labels.repeat(_PARTNERS)
    same = labels == layer.labels[partner]
    shares = {key: torch.cat(found).double() for key, found in bad.items()}
    return Intrusion(
        *_split(shares["beta"], same),
        *_split(_chance(layer, labels, layer.labels[partner]), same),
        by_ratio={key: _split(share, same) for key, share in shares.items()},
        by_pair=_by_pair(torch.stack(list(shares.values())).mean(0), layer, partner),
    )


def derangement(rng: np.random.Generator, n: int) -> np.ndarray:
    """Return a permutation without fixed points: one cycle through all, in random order."""
    order = rng.permutation(n)
    partner = np.empty(n, dtype=np.int64)
    partner[order] = np.roll(order, 1)
    return partner


def _distances(layer: Layer, partner: Tensor, ratio: Tensor) -> Tensor:
    """Return squared distances of mixed points to all examples, up to a constant of each row."""
    inner = ratio[:, None] * layer.gram + (1 - ratio[:, None]) * layer.gram[partner]
    return layer.gram.diagonal() - 2 * inner


def _foreign(distance: Tensor, labels: Tensor, partner: Tensor) -> Tensor:
    """Tell whose nearest example, the parents i and partner[i] aside, is of neither's class."""
    own = torch.arange(len(distance), device=distance.device)
    distance[own, own] = math.inf
    distance[own, partner] = math.inf
    neighbour = labels[distance.argmin(1)]
    return (neighbour != labels) & (neighbour != labels[partner])


def _split(values: Tensor, same: Tensor) -> tuple[float, float]:
    """Return the means over pairs of two classes and of one; 0 where there is no such pair."""
    return tuple(float(values[part].mean()) if part.any() else 0.0 for part in (~same, same))  # pyright: ignore[reportReturnType]


def _chance(layer: Layer, first: Tensor, second: Tensor) -> Tensor:
    """Return for each pair the share of the other examples that are of neither parent's class."""
    own = layer.counts[first] + layer.counts[second] * (first != second)
    return (len(layer) - own).double() / (len(layer) - 2)


def _by_pair(shares: Tensor, layer: Layer, partner: Tensor) -> Tensor:
    classes = len(layer.counts)
    cell = layer.labels.repeat(_PARTNERS) * classes + layer.labels[partner]
    total = shares.new_zeros(classes**2).index_add_(0, cell, shares)
    counts = shares.new_zeros(classes**2).index_add_(0, cell, torch.ones_like(shares))
    both = total.view(classes, classes) + total.view(classes, classes).T
    return both / (counts.view(classes, classes) + counts.view(classes, classes).T)
