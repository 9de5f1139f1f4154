"""Soft nearest neighbor loss: how entangled are the classes in a representation?

Frosst, Papernot, Hinton (2019), "Analyzing and Improving Representations with the Soft Nearest
Neighbor Loss", equation 1: the mean over examples i of

    -log( sum over j != i with y_j = y_i of exp(-|x_i - x_j|^2 / T)
        / sum over k != i               of exp(-|x_i - x_k|^2 / T) )

Low: neighbours share the class. At chance level, log((N-1) / (n_c-1)) averaged over the examples
(n_c members of the own class), the classes lie over one another. The value depends on N, so that
layers are compared at equal N only.

Shapes: N examples, d features, t temperatures.
"""

import math
from typing import Literal, NamedTuple, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from layermix.errors import InputError, unknown
from layermix.geometry.checks import check_features, check_finite, check_temperature, labeled
from layermix.geometry.distances import SMALL, Kept, all_distances, power_of_two
from layermix.geometry.layer import Layer, once
from layermix.geometry.minimum import minimise
from layermix.geometry.pairs import Pairs

Distance = Literal["euclidean", "cosine"]


class _ValueAtTemperature(NamedTuple):
    value: float
    temperature: float


class SNNL(_ValueAtTemperature):
    """The pair (value, temperature), and what one must know to read it.

    Attributes
    ----------
    value
        The loss in nats, over the examples that have a companion of their class.
    temperature
        The temperature T it was taken at, in squared units of the features.
    chance
        The value that classes lying over one another have.
    standard_error
        Of the value, in nats: over the examples, or over the samples where it was sampled.
    n
        Number of examples that counted.
    classes
        Number of classes that counted.
    singletons
        Number of examples left out because theirs is the only one of its class.
    """

    chance: float
    standard_error: float
    n: int
    classes: int
    singletons: int

    @property
    def normalised(self) -> float:
        """Value over chance: near 1 where classes lie over one another, 0 where they are apart."""
        return self.value / self.chance if self.chance else 0.0


def snnl(
    features: Tensor,
    labels: Tensor,
    temperature: Tensor | float | None = None,
    *,
    distance: Distance = "euclidean",
    sample: int | None = None,
    samples: int = 8,
    seed: int = 0,
    ignore_index: int = -100,
) -> SNNL:
    """Measure the soft nearest neighbor loss, exactly, without ever holding all distances.

    Time grows with N^2 d, memory with N d. Up to N = 1,448, and for float64 features, everything is
    float64; beyond, distances are float32 and sums float64, which an example some hundred times
    farther away than the others can cost digits at the lowest temperatures.

    Parameters
    ----------
    features
        Floating-point tensor of shape (N, ...), flattened to (N, d).
    labels
        Integer classes, shape (N,). Classes with a single member are left out and counted.
    temperature
        T > 0, in squared units of the features. Left out: the minimum over T, which makes the
        value independent of the features' scale.
    distance
        ``"euclidean"``: the squared distance; ``"cosine"``: one minus the cosine.
    sample
        Where N is beyond reach: measure random samples of that many examples instead. The value is
        then their mean, the temperature their median, n the size of a sample.
    samples, seed
        How many samples, and the seed they are drawn from.
    ignore_index
        Label of examples that are left out, as torch's cross-entropy leaves them out.

    Returns
    -------
    SNNL
        Unpacks as ``value, temperature``; also has chance level, normalised value, standard error,
        n, classes and singletons.

    Raises
    ------
    InputError
        For shapes that do not fit, features that are not finite, T <= 0, an unknown distance, a
        sample larger than N, or no class with two members.
    """
    check_features(features, labels)
    features, labels = labeled(features, labels, ignore_index)
    check_finite(features)
    temperature = check_temperature(temperature)
    if distance not in get_args(Distance):
        raise unknown("distance", distance, get_args(Distance))
    device = "cpu" if features.device.type == "mps" else features.device  # no float64 there
    x, y = features.detach().to(device).flatten(1), labels.to(device)
    if distance == "cosine":
        x = F.normalize(x.to(_dtype(x)) / power_of_two(x), dim=1) / math.sqrt(2)
    if sample is None:
        return _exact(x, y, temperature, distance == "euclidean")
    if not 2 <= sample <= len(x) or samples < 2:
        raise InputError(
            f"{samples} samples of {sample} examples cannot be drawn from {len(x)}: give a sample "
            f"from 2 to {len(x)}, and 2 samples or more"
        )
    generator = torch.Generator().manual_seed(seed)
    draws = [
        torch.randperm(len(x), generator=generator)[:sample].to(device) for _ in range(samples)
    ]
    try:
        found = [_exact(x[d], y[d], temperature, distance == "euclidean") for d in draws]
    except InputError as error:
        raise InputError(f"in a sample of {sample}: {error}, with a larger sample") from None
    return _mean(found)


@once
def layer_snnl(layer: Layer) -> SNNL:
    """Return the exact SNNL of a layer at its best temperature, from distances already there."""
    order = layer.labels.argsort(stable=True)
    dtype = torch.float64 if len(order) ** 2 <= SMALL else torch.float32
    squared = layer.distances[order][:, order].to(dtype)
    return _measured(Pairs(Kept(squared, layer.scale), layer.counts), layer.counts, None, 0)


def _exact(x: Tensor, labels: Tensor, temperature: float | None, centre: bool) -> SNNL:
    """Measure all examples, (N, d)."""
    _, y, counts = labels.unique(return_inverse=True, return_counts=True)
    order = y.argsort(stable=True)
    order = order[counts[y[order]] > 1]
    if not len(order):
        raise InputError(
            f"none of the {len(counts)} classes has two members among {len(x)} examples, so no "
            "example has a companion: measure more examples"
        )
    counts = counts[counts > 1]
    pairs = Pairs(all_distances(x, order, _dtype(x), centre), counts)
    return _measured(pairs, counts, temperature, len(x) - len(order))


def _measured(pairs: Pairs, counts: Tensor, temperature: float | None, singletons: int) -> SNNL:
    n = pairs.size
    measured: dict[float, tuple[float, float]] = {}  # T -> mean and standard deviation

    def loss(temperatures: Tensor) -> Tensor:
        own, other = pairs.log_sums(temperatures)
        rows = F.softplus(other - own)  # -log(own / (own + other)), (t, N)
        means, spreads = rows.mean(1).cpu(), rows.std(1).cpu()
        pairs_of = zip(means.tolist(), spreads.tolist(), strict=True)
        measured.update(zip(temperatures.tolist(), pairs_of, strict=True))
        return means

    if temperature is None:
        temperature = minimise(loss, pairs.span())
    else:
        loss(torch.tensor([temperature], dtype=torch.float64))
    value, spread = measured[temperature]
    found = SNNL(value, temperature)
    found.chance = chance_level(counts)
    found.standard_error = spread / math.sqrt(n)
    found.n, found.classes, found.singletons = n, len(counts), singletons
    return found


def chance_level(counts: Tensor) -> float:
    """Return log((N-1) / (n_c-1)), the mean over examples; members n_c of each class, (K,)."""
    n = int(counts.sum())
    return float((counts * torch.log((n - 1) / (counts.double() - 1))).sum() / n)


def _mean(found: list[SNNL]) -> SNNL:
    """Return the mean over samples of equal size, with its error over them."""
    values = torch.tensor([each.value for each in found], dtype=torch.float64)
    temperatures = torch.tensor([each.temperature for each in found], dtype=torch.float64)
    mean = SNNL(float(values.mean()), float(temperatures.median()))
    mean.chance = sum(each.chance for each in found) / len(found)
    mean.standard_error = float(values.std()) / math.sqrt(len(found))
    mean.n = round(sum(each.n for each in found) / len(found))
    mean.classes = min(each.classes for each in found)
    mean.singletons = max(each.singletons for each in found)
    return mean


def _dtype(features: Tensor) -> torch.dtype:
    return torch.float64 if features.dtype == torch.float64 else torch.float32
