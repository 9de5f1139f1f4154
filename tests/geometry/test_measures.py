"""Measures on data with known geometry: trends, best values, chance levels and references."""

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from sklearn.neighbors import NearestCentroid, NearestNeighbors

from known import CLASSES, EACH, D, collapsed, gaussians, rings, shuffled, value
from layermix.geometry import MEASURES, LayerFeatures

N = CLASSES * EACH


@pytest.mark.parametrize("name", MEASURES)
def test_measures_are_monotonic_in_class_separation(name: str) -> None:
    values = [value(name, gaussians(apart)) for apart in (0.0, 2.0, 4.0, 20.0)]
    if name == "spectrum":  # does not depend on distances between classes
        assert values == pytest.approx([values[0]] * 4, rel=1e-6)
        return
    signs = 1 if MEASURES[name].higher_is_better else -1
    steps = [signs * (b - a) for a, b in pairwise(values)]
    assert all(step >= 0 for step in steps)
    assert steps[0] + steps[1] > 0


COLLAPSED = {name: 1.0 if m.higher_is_better else 0.0 for name, m in MEASURES.items()}


@pytest.mark.parametrize("name", MEASURES)
def test_collapsed_classes_have_the_best_value(name: str) -> None:
    assert value(name, collapsed()) == pytest.approx(COLLAPSED[name], abs=1e-6)


CHANCE = {
    "snnl": (1.0, 0.05),
    "intrusion": (1.0, 0.1),
    "intrusion_same": (1.0, 0.1),
    "knn": (1 / CLASSES, 0.09),
    "nearest_centroid": (1 / CLASSES, 0.09),
    "probe": (1 / CLASSES, 0.09),
    "separation": (0.0, 0.03),
    "cka": (0.0, 0.05),
}


@pytest.mark.parametrize("name", CHANCE)
def test_shuffled_labels_have_the_chance_level(name: str) -> None:
    wanted, tolerance = CHANCE[name]
    assert value(name, shuffled()) == pytest.approx(wanted, abs=tolerance)


@pytest.mark.parametrize("name", MEASURES)
@pytest.mark.parametrize("change", ["scaled", "turned", "shuffled rows", "renamed classes"])
def test_measures_are_invariant_to_scale_rotation_and_order(name: str, change: str) -> None:
    x, y = gaussians(2.0)
    before = value(name, (x, y))
    turn = torch.linalg.qr(torch.randn(D, D, dtype=torch.float64)).Q
    order = torch.randperm(N, generator=torch.Generator().manual_seed(1))
    after = {
        "scaled": lambda: (1e3 * x, y),
        "turned": lambda: (x @ turn, y),
        "shuffled rows": lambda: (x[order], y[order]),
        "renamed classes": lambda: (x, 10 + 3 * y),
    }[change]()
    sampled = change == "shuffled rows" and name in ("probe", "intrusion", "intrusion_same")
    # Halves and partners depend on the order of the rows, so these values are equal up to noise.
    assert value(name, after) == pytest.approx(before, rel=0.3 if sampled else 1e-6)


@pytest.mark.parametrize("name", [n for n in MEASURES if n != "separation"])
def test_distance_measures_are_invariant_to_translation(name: str) -> None:
    x, y = gaussians(2.0)
    assert value(name, (x + 100, y)) == pytest.approx(value(name, (x, y)), rel=1e-6)


def test_rings_are_separated_for_neighbor_measures_only() -> None:
    assert value("knn", rings()) > 0.85
    assert value("snnl", rings()) < 0.3
    for name in ("nearest_centroid", "probe"):
        assert value(name, rings()) < 0.5
    assert value("separation", rings()) < 0.1
    assert value("intrusion", rings()) > 0.5  # chords cross the rings in between


def reference_knn(x: np.ndarray, y: np.ndarray) -> float:
    hits = 0
    for i in range(len(y)):
        rest = np.arange(len(y)) != i
        near = NearestNeighbors(n_neighbors=5).fit(x[rest]).kneighbors(x[i : i + 1])[1][0]
        votes = np.bincount(y[rest][near], minlength=CLASSES).astype(float)
        np.add.at(votes, y[rest][near], [0.05, 0.04, 0.03, 0.02, 0.01])  # ties: the nearest wins
        hits += votes.argmax() == y[i]
    return hits / len(y)


def reference_nearest_centroid(x: np.ndarray, y: np.ndarray) -> float:
    rest = [np.arange(len(y)) != i for i in range(len(y))]
    hits = [NearestCentroid().fit(x[r], y[r]).predict(x[~r])[0] == y[~r][0] for r in rest]
    return float(np.mean(hits))


def reference_probe(x: np.ndarray, y: np.ndarray) -> float:
    half, hits = np.empty(len(y), int), 0
    half[np.argsort(y, kind="stable")] = np.arange(len(y)) % 2
    for k in (0, 1):
        train, test = half == k, half != k
        centered = x[train] - x[train].mean(0)
        ridges = 10.0 ** np.arange(-5, 3) * (centered**2).sum(1).mean()
        one_hot = np.eye(CLASSES)[y[train]]
        errors = [leave_one_out_error(x[train], one_hot, ridge) for ridge in ridges]
        found = Ridge(ridges[np.argmin(errors)]).fit(x[train], one_hot)
        hits += (found.predict(x[test]).argmax(1) == y[test]).sum()
    return hits / len(y)


def leave_one_out_error(x: np.ndarray, targets: np.ndarray, ridge: float) -> float:
    """Return the sum of squared leave-one-out errors of ridge regression, in closed form."""
    x, targets = x - x.mean(0), targets - targets.mean(0)
    inverse = np.linalg.inv(x.T @ x + ridge * np.eye(x.shape[1]))
    hat = x @ inverse @ x.T
    errors = (targets - hat @ targets) / (1 - np.diag(hat) - 1 / len(x))[:, None]
    return float((errors**2).sum())


def reference_separation(x: np.ndarray, y: np.ndarray) -> float:
    """Return class separation from double sums over pairs of classes and of examples."""
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    means = [
        [float((1 - unit[y == a] @ unit[y == b].T).mean()) for b in range(CLASSES)]
        for a in range(CLASSES)
    ]
    return 1 - float(np.trace(means)) / CLASSES / float(np.mean(means))


def reference_with_pseudo_inverse(weighted: bool) -> Callable[[np.ndarray, np.ndarray], float]:
    def measure(x: np.ndarray, y: np.ndarray) -> float:
        counts, center = np.bincount(y), x.mean(0)
        means = np.stack([x[y == k].mean(0) for k in range(CLASSES)])
        within = (x - means[y]).T @ (x - means[y]) / len(y)
        shares = counts / len(y) if weighted else np.full(CLASSES, 1 / CLASSES)
        between = (means - center).T @ (shares[:, None] * (means - center))
        trace = float(np.trace(within @ np.linalg.pinv(between, rcond=1e-9, hermitian=True)))
        return trace if weighted else trace / CLASSES

    return measure


def reference_cka(x: np.ndarray, y: np.ndarray) -> float:
    """Return linear CKA in its feature form, |Y^T X|^2 / (|X^T X| |Y^T Y|)."""
    a, b = x - x.mean(0), np.eye(CLASSES)[y] - np.bincount(y) / len(y)
    return float(np.linalg.norm(b.T @ a) ** 2 / np.linalg.norm(a.T @ a) / np.linalg.norm(b.T @ b))


def reference_spectrum(x: np.ndarray, y: np.ndarray) -> float:
    shares = []
    for k in range(CLASSES):
        values = np.linalg.svd(x[y == k] - x[y == k].mean(0), compute_uv=False) ** 2
        shares.append(1 - values[0] / values.sum())
    return float(np.mean(shares))


REFERENCES = {
    "knn": reference_knn,
    "nearest_centroid": reference_nearest_centroid,
    "probe": reference_probe,
    "separation": reference_separation,
    "nc1": reference_with_pseudo_inverse(weighted=False),
    "fuzziness": reference_with_pseudo_inverse(weighted=True),
    "cka": reference_cka,
    "spectrum": reference_spectrum,
}


@pytest.mark.parametrize("unbalanced", [False, True])
@pytest.mark.parametrize("apart", [0.5, 2.0])
@pytest.mark.parametrize("name", REFERENCES)
def test_measures_equal_reference_implementations(
    name: str, apart: float, unbalanced: bool
) -> None:
    x, y = gaussians(apart)
    if unbalanced:
        keep = (y > 0) | (torch.arange(N) % 3 == 0)
        x, y = x[keep], y[keep]
    expected = REFERENCES[name](x.numpy(), y.numpy())
    assert value(name, (x, y)) == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_leave_one_out_error_equals_refitted_regressions() -> None:
    x, y = (part.numpy()[:40] for part in gaussians(1.0))
    one_hot, squares = np.eye(CLASSES)[y], 0.0
    for i in range(40):
        rest = np.arange(40) != i
        guess = Ridge(5.0).fit(x[rest], one_hot[rest]).predict(x[i : i + 1])
        squares += float(((one_hot[i] - guess) ** 2).sum())
    assert leave_one_out_error(x, one_hot, 5.0) == pytest.approx(squares, rel=1e-9)


def test_probe_works_with_as_many_features_as_rows() -> None:
    x, y = gaussians(3.0)
    noise = 0.3 * torch.randn(N, N // 2 - D, dtype=torch.float64)
    assert value("probe", (torch.cat([x, noise], 1), y)) > value("probe", (x, y)) - 0.1


def test_distances_are_squared_with_infinite_diagonal() -> None:
    x, y = gaussians(1.0)
    expected = torch.cdist(x, x).square().fill_diagonal_(math.inf)
    layer = LayerFeatures(x, y)
    torch.testing.assert_close(layer.distances * layer.scale**2, expected)


@pytest.mark.parametrize("labels", [[0, 0, 0, 0], [0, 0, 1, 2]])
def test_too_few_examples_per_class_raise_an_error(labels: list[int]) -> None:
    from layermix import InputError

    with pytest.raises(
        InputError, match="geometry needs at least two classes with two examples each"
    ):
        LayerFeatures(torch.randn(4, 2), torch.tensor(labels))
