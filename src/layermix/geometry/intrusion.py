"""Intrusion: the nearest example of a mixed point belongs to the class of neither parent.

The parents of a mixed point are the two examples that are mixed. Example: a mix of two *red*
examples is labeled red. If its nearest real example is *blue*, it is a bad augmentation. For a mix
of red and green, the nearest example may be red or green, but not blue.

Shapes: N examples, K classes.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from layermix.geometry.layer import LayerFeatures
from layermix.mixing import Derangement

RATIOS = (0.1, 0.2, 0.3, 0.4, 0.5)  # swapping the pair covers the ratios 1 - lambda
_PARTNERS = 4  # partners of each example


@dataclass(frozen=True, eq=False)
class Intrusion:
    """Fraction of mixed points that are intruders: nearest to a class of neither parent.

    Attributes
    ----------
    different, same
        Fraction for pairs of different classes and for pairs of the same class, at uniform ratios.
    chance_different, chance_same
        Expected fraction if the nearest neighbor were a random example.
    by_ratio
        The pair (different, same) for each ratio, and for ``"beta"`` (uniform ratios).
    by_pair
        Fraction for each pair of classes, over all ratios, float64 (K, K); NaN without such a pair.
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
    """Return a bool (N,), True if the nearest example of a mixed point has neither parent's class.

    Parameters
    ----------
    mixed
        Mixed points, shape (N, ...). Point i is a mix of the examples i and ``partner[i]``; these
        two are excluded from its neighbors.
    features, labels
        Real examples at the same layer, shape (N, ...), and their integer classes, shape (N,).
    partner
        Partner of each example, int64, shape (N,).
    ignore_index
        Label of examples that are ignored as neighbors and as parents.

    Examples
    --------
    >>> x, partner = torch.tensor([[0.0], [1], [2], [9], [10]]), torch.tensor([2, 2, 0, 3, 4])
    >>> intruders((x + x[partner]) / 2, x, torch.tensor([0, 1, 0, 2, 2]), partner).tolist()
    [True, False, True, False, False]
    """
    distance = torch.cdist(mixed.flatten(1).double(), features.flatten(1).double())  # (N, N)
    counted = labels != ignore_index
    distance[:, ~counted] = math.inf
    return _intrudes(distance, labels, partner) & counted & counted[partner]


def intrusion(
    layer: LayerFeatures, *, seed: int = 0, ratios: tuple[float, ...] = RATIOS
) -> Intrusion:
    """Mix pairs of examples at a layer, and return the fraction of intruders.

    Each example is mixed with four partners, which are the same for all layers with N examples, at
    each of `ratios` and at uniform random ratios. `layer` must have three examples or more.

    Examples
    --------
    >>> x, y = torch.tensor([[0.0], [1], [2], [9], [10], [11]]), torch.tensor([0, 0, 0, 1, 1, 1])
    >>> intrusion(LayerFeatures(x, y)).same
    0.0
    """
    return layer.once(("intrusion", seed, ratios), lambda: _measure(layer, seed, ratios))


def _measure(layer: LayerFeatures, seed: int, ratios: tuple[float, ...]) -> Intrusion:
    rng, n, device = np.random.default_rng(seed), len(layer), layer.gram.device
    found: dict[float | str, list[Tensor]] = {key: [] for key in (*ratios, "beta")}
    partners = [torch.from_numpy(Derangement()(rng, n, None)) for _ in range(_PARTNERS)]
    partners = [partner.to(device) for partner in partners]
    for partner in partners:
        uniform = torch.from_numpy(rng.uniform(size=n)).to(device)
        for key, so_far in found.items():
            ratio = (uniform if key == "beta" else torch.full_like(uniform, float(key)))[:, None]
            # Squared distances of mixed points to all examples, up to a constant for each row.
            inner = ratio * layer.gram + (1 - ratio) * layer.gram[partner]
            distance = layer.gram.diagonal() - 2 * inner
            so_far.append(_intrudes(distance, layer.labels, partner))
    partner, first = torch.cat(partners), layer.labels.repeat(_PARTNERS)
    second = layer.labels[partner]
    same = first == second
    # Fraction of the other examples that have a class of neither parent.
    parents = layer.counts[first] + layer.counts[second] * ~same
    chance = (n - parents).double() / (n - 2)
    shares = {key: torch.cat(parts).double() for key, parts in found.items()}
    mean = torch.stack(list(shares.values())).mean(0)
    total, counts = mean.new_zeros(2, len(layer.counts), len(layer.counts))
    total.index_put_((first, second), mean, accumulate=True)
    counts.index_put_((first, second), torch.ones_like(mean), accumulate=True)
    return Intrusion(
        *_split(shares["beta"], same),
        *_split(chance, same),
        by_ratio={key: _split(share, same) for key, share in shares.items()},
        by_pair=(total + total.T) / (counts + counts.T),
    )


def _intrudes(distance: Tensor, labels: Tensor, partner: Tensor) -> Tensor:
    rows = torch.arange(len(distance), device=distance.device)
    distance[rows, rows] = math.inf
    distance[rows, partner] = math.inf
    nearest = labels[distance.argmin(1)]
    return (nearest != labels) & (nearest != labels[partner])


def _split(values: Tensor, same: Tensor) -> tuple[float, float]:
    """Return two means: where `same` is False, and where it is True; 0 if there are no values."""
    return tuple(float(values[part].mean()) if part.any() else 0.0 for part in (~same, same))  # pyright: ignore[reportReturnType]
