"""Soft nearest neighbor loss (SNNL): how entangled the classes are in a representation.

Frosst, Papernot, Hinton (2019), "Analyzing and Improving Representations with the Soft Nearest
Neighbor Loss", equation 1: the mean over examples i of

    -log( sum over j != i with y_j = y_i of exp(-|x_i - x_j|^2 / T)
        / sum over k != i               of exp(-|x_i - x_k|^2 / T) )

It is low if neighbors have the same class. If classes overlap completely, it is at chance level:
the mean of log((N-1) / (n_c-1)), where n_c is the class size. Compare layers only at the same N.

Shapes: N examples, d features, t temperatures.
"""

import math
from typing import Literal, NamedTuple, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from layermix.errors import InputError, unknown
from layermix.geometry.distances import SMALL, distances_of, power_of_two, stored_distances
from layermix.geometry.layer import LayerFeatures, as_matrix, checked_features, not_finite
from layermix.geometry.pair_sums import PairSums
from layermix.geometry.temperature import best_temperature, check_temperature

Distance = Literal["euclidean", "cosine"]


class SNNL(NamedTuple("SNNL", [("value", float), ("temperature", float)])):
    """Result of `snnl`: the pair (value, temperature), with more attributes.

    Attributes
    ----------
    value, chance
        The loss, and its chance level, in nats.
    temperature
        The temperature T of the loss, in squared units of the features.
    standard_error
        Standard error of the value in nats, over the examples, or over samples of them.
    n, classes, singletons
        Number of examples and of classes in the loss, and number of examples that were ignored
        because they are the only ones of their class.

    Examples
    --------
    >>> found = snnl(torch.tensor([[0.0], [1], [9], [8]]), torch.tensor([0, 0, 1, 1]))
    >>> found.n, found.classes, round(found.chance, 4), round(found.normalized, 4)
    (4, 2, 1.0986, 0.0)
    """

    chance: float
    standard_error: float
    n: int
    classes: int
    singletons: int

    @property
    def normalized(self) -> float:
        """The value divided by `chance`: about 1 if classes overlap completely, 0 if separate."""
        return self.value / self.chance if self.chance else 0.0


def snnl(
    features: Tensor,
    labels: Tensor,
    temperature: Tensor | float | None = None,
    *,
    distance: Distance = "euclidean",
    ignore_index: int = -100,
    sample_size: int | None = None,
    num_samples: int = 8,
    seed: int = 0,
) -> SNNL:
    """Return the exact soft nearest neighbor loss, without storing the N x N distance matrix.

    Time is O(N^2 d), memory is O(N d). Up to N = 1,448, and for float64 features, all computations
    are float64. Otherwise distances are float32 and sums float64. The result is then less precise
    at the lowest temperatures if outliers are hundreds of times farther away than other examples.

    Parameters
    ----------
    features
        Floating-point tensor of shape (N, ...), flattened to (N, d).
    labels
        Integer classes, shape (N,). Classes with a single member are ignored and counted.
    temperature
        T > 0, in squared units of the features. By default, the T that minimizes the loss, so that
        the value does not depend on the scale of the features.
    distance
        ``"euclidean"``: the squared distance; ``"cosine"``: one minus the cosine.
    ignore_index
        Label of examples to ignore.
    sample_size, num_samples, seed
        For very large N: size and number of random samples, and their seed. The value is then the
        mean over samples, the temperature is the median, and n is the mean number of examples.

    Raises
    ------
    InputError
        If shapes do not match, features are not finite, T <= 0, `distance` is unknown, a sample
        is larger than N, or no class has two members.

    Examples
    --------
    >>> value, temperature = snnl(torch.tensor([[0.0], [1], [9], [8]]), torch.tensor([0, 0, 1, 1]))
    >>> value < 1e-6
    True
    """
    features, labels = checked_features(features, labels, ignore_index)
    if bad := not_finite(features):
        raise InputError(f"{bad}: remove these examples, or check the layers before this one")
    temperature = check_temperature(temperature)
    if distance not in get_args(Distance):
        raise unknown("distance", distance, get_args(Distance))
    x = as_matrix(features)
    y = labels.to(x.device)
    if distance == "cosine":
        precise = x.to(torch.promote_types(x.dtype, torch.float32))
        x = F.normalize(precise / power_of_two(x), dim=1) / math.sqrt(2)
    center = distance == "euclidean"
    if sample_size is None:
        return _exact(x, y, temperature, center)
    if not 2 <= sample_size <= len(x) or num_samples < 2:
        raise InputError(
            f"cannot draw {num_samples} samples of {sample_size} from {len(x)} examples: "
            f"sample_size must be from 2 to {len(x)}, and num_samples 2 or more"
        )
    rng = torch.Generator().manual_seed(seed)
    draws = [torch.randperm(len(x), generator=rng)[:sample_size] for _ in range(num_samples)]
    try:
        return _mean([_exact(x[d], y[d], temperature, center) for d in draws])
    except InputError as error:
        raise InputError(f"a sample of {sample_size} is too small: {error}") from None


def layer_snnl(layer: LayerFeatures) -> SNNL:
    """Return the SNNL of a layer at its best temperature, from the layer's Gram matrix.

    Examples
    --------
    >>> layer = LayerFeatures(torch.tensor([[0.0], [1], [9], [8]]), torch.tensor([0, 0, 1, 1]))
    >>> layer_snnl(layer).normalized < 1e-6
    True
    """

    def compute() -> SNNL:
        order = layer.labels.argsort(stable=True)
        dtype = torch.float64 if len(order) ** 2 <= SMALL else torch.float32
        squared = layer.distances[order][:, order].to(dtype)
        pairs = PairSums(stored_distances(squared, layer.scale), layer.counts)
        return _measure(pairs, layer.counts, None, singletons=0)

    return layer.once("snnl", compute)


def chance_level(counts: Tensor) -> float:
    """Return the SNNL (in nats) of classes that overlap completely, from the class sizes, (K,)."""
    n = int(counts.sum())
    return float((counts * torch.log((n - 1) / (counts.double() - 1))).sum() / n)


def _exact(x: Tensor, labels: Tensor, temperature: float | None, center: bool) -> SNNL:
    _, y, counts = labels.unique(return_inverse=True, return_counts=True)
    order = y.argsort(stable=True)
    order = order[counts[y[order]] > 1]
    if not len(order):
        raise InputError(
            f"none of the {len(counts)} classes has two members among {len(x)} examples: measure "
            "more examples"
        )
    counts = counts[counts > 1]
    dtype = torch.promote_types(x.dtype, torch.float32)
    pairs = PairSums(distances_of(x, order, dtype, center), counts)
    return _measure(pairs, counts, temperature, len(x) - len(order))


def _measure(pairs: PairSums, counts: Tensor, temperature: float | None, singletons: int) -> SNNL:
    found: dict[float, tuple[float, float]] = {}  # T -> mean and standard deviation

    def loss(temperatures: Tensor, exact: bool = True) -> Tensor:
        lowest = min((mean for mean, _ in found.values()), default=math.inf)
        same, other = pairs.log_sums(temperatures, None if exact else lowest)
        rows = F.softplus(other - same)  # -log(same / (same + other)), (t, N)
        means, deviations = rows.mean(1).cpu(), rows.std(1).cpu()
        statistics = zip(means.tolist(), deviations.tolist(), strict=True)
        several = zip(temperatures.tolist(), statistics, strict=True)
        found.update({t: both for t, both in several if not math.isnan(both[0])})
        return means.nan_to_num(nan=math.inf)

    if temperature is None:
        sample, unit = pairs.sample()
        temperature = best_temperature(loss, sample, pairs.nearest, unit)
    else:
        loss(torch.tensor([temperature], dtype=torch.float64))
    value, deviation = found[temperature]
    return _result(
        SNNL(value, temperature),
        chance=chance_level(counts),
        standard_error=deviation / math.sqrt(pairs.size),
        n=pairs.size,
        classes=len(counts),
        singletons=singletons,
    )


def _mean(found: list[SNNL]) -> SNNL:
    values, temperatures = torch.tensor(found, dtype=torch.float64).unbind(1)
    return _result(
        SNNL(float(values.mean()), float(temperatures.median())),
        chance=sum(each.chance for each in found) / len(found),
        standard_error=float(values.std()) / math.sqrt(len(found)),
        n=round(sum(each.n for each in found) / len(found)),
        classes=min(each.classes for each in found),
        singletons=max(each.singletons for each in found),
    )


def _result(pair: SNNL, **attributes: float) -> SNNL:
    vars(pair).update(attributes)
    return pair
