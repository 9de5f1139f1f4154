"""lm.snnl equals its definition at all temperatures and numbers of features."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

import layermix as lm


def clusters(n: int, d: int, classes: int, apart: float, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return float64 features (n, d) around one center per class, and labels."""
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.arange(n) % classes)
    x = rng.normal(size=(n, d)) + apart * rng.normal(size=(classes, d))[y]
    return torch.from_numpy(x), torch.from_numpy(y)


def reference_snnl(x: Tensor, y: Tensor, temperature: float) -> float:
    """Return the loss, computed example by example in float64 without underflow."""
    features, labels, losses = x.double().flatten(1).numpy(), y.numpy(), []
    for i in range(len(labels)):
        others = np.arange(len(labels)) != i
        exponents = -((features - features[i]) ** 2).sum(1) / temperature
        same = others & (labels == labels[i])
        if same.any():
            among_class = np.logaddexp.reduce(exponents[same])
            losses.append(np.logaddexp.reduce(exponents[others]) - among_class)
    return float(np.mean(losses))


def median_distance(x: Tensor) -> float:
    return float(torch.pdist(x.double()).square().median())


@pytest.mark.parametrize("apart", [0.0, 0.5, 3.0])
@pytest.mark.parametrize("factor", [1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0, 1e3])
@pytest.mark.parametrize("d", [2, 64, 4096, 16_384])
def test_snnl_equals_the_definition(d: int, factor: float, apart: float) -> None:
    x, y = clusters(48, d, 4, apart)
    temperature = factor * median_distance(x)
    value, returned = lm.snnl(x, y, temperature)
    assert returned == temperature
    assert value == pytest.approx(reference_snnl(x, y, temperature), rel=1e-6, abs=1e-10)


def test_snnl_of_unbalanced_classes_equals_the_definition() -> None:
    x, _ = clusters(30, 5, 3, 1.0)
    y = torch.tensor([0] * 20 + [1] * 7 + [2] * 3)[torch.randperm(30)]
    assert lm.snnl(x, y, 3.0).value == pytest.approx(reference_snnl(x, y, 3.0), rel=1e-9)


@pytest.mark.parametrize("labels", [torch.int64, torch.int32, torch.uint8])
def test_labels_may_be_any_integers(labels: torch.dtype) -> None:
    x, y = clusters(30, 5, 3, 1.0)
    renamed = torch.tensor([7, 200, 42])[y].to(labels)
    assert lm.snnl(x, renamed, 3.0) == lm.snnl(x, renamed.long(), 3.0)
    assert lm.snnl(x, renamed, 3.0).value == pytest.approx(lm.snnl(x, y, 3.0).value, rel=1e-12)


@pytest.mark.parametrize("shape", [(3, 4, 4), (48,), (12, 4)])
def test_features_of_any_shape_are_flattened(shape: tuple[int, ...]) -> None:
    x, y = clusters(20, 48, 3, 1.0)
    assert lm.snnl(x.reshape(20, *shape), y, 50.0) == lm.snnl(x, y, 50.0)


@pytest.mark.parametrize("temperature", [1e-4, 1e-2, 1.0, None])
def test_near_duplicates_far_from_the_origin_are_precise(temperature: float | None) -> None:
    x, y = clusters(40, 8, 4, 0.0)
    x = (1000 + torch.cat([x[:20], x[:20]]) + 1e-3 * x).float()
    value, at = lm.snnl(x, y, temperature)
    assert value == pytest.approx(reference_snnl(x, y, at), rel=1e-6)


@pytest.mark.parametrize("temperature", [1e-6, 1.0, 1e6, None])
def test_exact_duplicates_give_a_finite_value(temperature: float | None) -> None:
    x, y = clusters(40, 8, 4, 0.0)
    x = torch.cat([x[:20], x[:20]])
    value, at = lm.snnl(x, y, temperature)
    assert math.isfinite(value)
    assert value == pytest.approx(reference_snnl(x, y, at), rel=1e-6)


def test_equal_features_have_the_chance_level() -> None:
    _, y = clusters(40, 8, 4, 0.0)
    found = lm.snnl(torch.ones(40, 8), y)
    assert found.value == pytest.approx(found.chance)


def test_snnl_is_invariant_to_translation() -> None:
    x, y = clusters(40, 16, 4, 1.0)
    assert lm.snnl(x + 1e6, y, 20.0).value == pytest.approx(lm.snnl(x, y, 20.0).value, rel=1e-6)
    assert lm.snnl(x + 1e6, y).value == pytest.approx(lm.snnl(x, y).value, rel=1e-6)


def test_snnl_is_invariant_to_example_order() -> None:
    x, y = clusters(40, 16, 4, 1.0)
    order = torch.randperm(40)
    assert lm.snnl(x[order], y[order], 20.0).value == pytest.approx(lm.snnl(x, y, 20.0).value)


def test_features_are_not_modified_and_get_no_gradient() -> None:
    x, y = clusters(40, 16, 4, 1.0)
    before = x.clone()
    lm.snnl(x.requires_grad_(), y)
    assert x.detach().equal(before)
    assert x.grad is None


def test_result_unpacks_into_value_and_temperature() -> None:
    x, y = clusters(40, 16, 4, 1.0)
    found = lm.snnl(x, y, 20.0)
    value, temperature = found
    assert (found.value, found.temperature) == (value, temperature)
    assert (temperature, found.n, found.classes, found.singletons) == (20.0, 40, 4, 0)


def test_chance_level_depends_on_class_sizes() -> None:
    x, _ = clusters(12, 4, 3, 1.0)
    y = torch.tensor([0] * 6 + [1] * 4 + [2] * 2)
    expected = (6 * math.log(11 / 5) + 4 * math.log(11 / 3) + 2 * math.log(11 / 1)) / 12
    assert lm.snnl(x, y).chance == pytest.approx(expected, rel=1e-12)


def test_chance_level_of_balanced_classes_equals_the_formula() -> None:
    found = lm.snnl(*clusters(40, 4, 4, 1.0))
    assert found.chance == pytest.approx(math.log(39 / 9), rel=1e-12)


@pytest.mark.parametrize("apart", [0.0, 3.0])
def test_snnl_at_high_temperature_is_the_chance_level(apart: float) -> None:
    x, y = clusters(60, 8, 4, apart)
    found = lm.snnl(x, y, 1e9)
    assert found.value == pytest.approx(found.chance, rel=1e-6)


def test_shuffled_labels_are_near_chance_at_best_temperature() -> None:
    x, y = clusters(400, 8, 4, 3.0)
    shuffled = y[torch.randperm(400)]
    found = lm.snnl(x, shuffled)
    assert 0.95 * found.chance < found.value <= found.chance * (1 + 1e-6)
    assert lm.snnl(x, y).value < 0.2 * found.chance


def test_singletons_are_excluded_and_counted() -> None:
    x, y = clusters(30, 5, 3, 1.0)
    y = torch.cat([y, torch.tensor([7, 8])])
    with_singletons = lm.snnl(torch.cat([x, 100 + x[:2]]), y, 3.0)
    without = lm.snnl(x, y[:30], 3.0)
    assert with_singletons.singletons == 2
    assert (with_singletons.n, with_singletons.classes) == (30, 3)
    assert with_singletons.value == pytest.approx(without.value, rel=1e-9)
    assert with_singletons.chance == without.chance


def test_cosine_distance_is_one_minus_cosine_similarity() -> None:
    x, y = clusters(60, 16, 4, 1.0)
    unit = torch.nn.functional.normalize(x, dim=1)
    found = lm.snnl(x, y, 0.3, distance="cosine")
    assert found.value == pytest.approx(reference_snnl(unit, y, 0.6), rel=1e-9)
    lengths = torch.rand(60, 1, dtype=torch.float64) + 0.1
    assert lm.snnl(lengths * x, y, 0.3, distance="cosine").value == pytest.approx(found.value)


def test_standard_error_is_that_of_the_mean_over_examples() -> None:
    x, y = clusters(40, 16, 4, 1.0)
    rows = []
    for i in range(40):
        distance = (x - x[i]).square().sum(1)
        distance[i] = math.inf
        near, far = distance[y == y[i]], distance[y != y[i]]
        rows.append(float(torch.log1p((-far / 20).exp().sum() / (-near / 20).exp().sum())))
    expected = float(np.std(rows, ddof=1)) / math.sqrt(40)
    assert lm.snnl(x, y, 20.0).standard_error == pytest.approx(expected, rel=1e-9)


def test_normalized_value_is_one_at_chance_and_zero_if_separated() -> None:
    x, y = clusters(60, 8, 4, 0.0)
    assert lm.snnl(x, y, 1e9).normalized == pytest.approx(1.0)
    assert lm.snnl(x + 100 * torch.eye(8, dtype=torch.float64)[y], y).normalized < 1e-6


def test_sampled_estimate_is_close_to_the_exact_value() -> None:
    x, y = clusters(4000, 8, 4, 1.0)
    sampled = lm.snnl(x, y, sample_size=500, num_samples=10, seed=1)
    others = [lm.snnl(x[k::8], y[k::8]).value for k in range(8)]  # 500 examples each
    assert sampled.n == 500
    assert sampled.value == pytest.approx(np.mean(others), abs=5 * sampled.standard_error)
    assert 0 < sampled.standard_error < 0.05 * sampled.value
    assert lm.snnl(x, y, sample_size=500, num_samples=10, seed=1) == sampled
