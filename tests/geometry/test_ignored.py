"""Every measure excludes examples with ignored labels."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import layermix as lm
from layermix.geometry import MEASURES, LayerFeatures, interpolation_gap, intruders
from layermix.geometry.profile_data import choose_examples

N = 120


def examples(ignored: int = -100) -> tuple[Tensor, Tensor, Tensor]:
    """Return features, labels, and a mask of known labels; every second label is ignored."""
    labels = torch.arange(N) % 3
    features = torch.randn(N, 5) + 2 * labels[:, None]
    known = torch.arange(N) % 2 == 0
    return features, labels.where(known, ignored), known


def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 3))


@pytest.mark.parametrize("ignored", [-100, 7])
@pytest.mark.parametrize("options", [{}, {"temperature": 1.0}, {"distance": "cosine"}])
def test_snnl_excludes_ignored_examples(ignored: int, options: dict[str, Any]) -> None:
    x, y, known = examples(ignored)
    found = lm.snnl(x, y, ignore_index=ignored, **options)
    expected = lm.snnl(x[known], y[known], **options)
    assert found == expected
    assert (found.n, found.classes, found.chance) == (N // 2, 3, expected.chance)


def test_features_of_ignored_examples_may_be_nan() -> None:
    x, y, known = examples()
    x[~known] = math.nan
    assert lm.snnl(x, y) == lm.snnl(x[known], y[known])


@pytest.mark.parametrize("temperature", [None, 1.0])
@pytest.mark.parametrize("ignored", [-100, 7])
def test_criterion_excludes_ignored_examples(ignored: int, temperature: float | None) -> None:
    x, y, known = examples(ignored)
    x.requires_grad_()
    loss = lm.SoftNearestNeighborLoss(temperature, ignore_index=ignored)(x, y)
    expected = lm.SoftNearestNeighborLoss(temperature)(x[known], y[known])
    torch.testing.assert_close(loss, expected)
    (gradient,) = torch.autograd.grad(loss, x)
    assert (gradient[~known] == 0).all()
    assert (gradient[known] != 0).any()


def test_loss_is_zero_if_all_examples_are_ignored() -> None:
    x = torch.randn(4, 5, requires_grad=True)
    loss = lm.SoftNearestNeighborLoss()(x, torch.full((4,), -100))
    loss.backward()
    assert loss == 0
    assert x.grad is not None
    assert not x.grad.any()


@pytest.mark.parametrize("name", MEASURES)
def test_every_measure_excludes_ignored_examples(name: str) -> None:
    x, y, known = examples()
    found, expected = LayerFeatures(x, y), LayerFeatures(x[known], y[known])
    assert MEASURES[name].compute(found) == MEASURES[name].compute(expected)


def test_intruders_excludes_ignored_examples() -> None:
    features = torch.tensor([[0.0], [4.0], [2.0], [2.1]])
    mixed, partner = torch.tensor([[2.0], [2.0], [2.0], [2.0]]), torch.tensor([1, 0, 0, 0])
    both = intruders(mixed, features, torch.tensor([0, 0, 1, 1]), partner)
    assert both.tolist() == [True, True, False, False]
    found = intruders(mixed, features, torch.tensor([0, 0, -100, 1]), partner)
    assert found.tolist() == [True, True, False, False]
    none = intruders(mixed, features, torch.tensor([0, 0, -100, -100]), partner)
    assert not none.any()


@pytest.mark.parametrize("batch_size", [None, 30])
def test_gap_cross_entropy_excludes_ignored_labels(batch_size: int | None) -> None:
    x, y, _ = examples()
    y[:30] = -100  # a whole batch
    (found,) = interpolation_gap(
        model(), x, y, "input", ratios=(1.0,), batch_size=batch_size
    ).values()
    expected = nn.functional.cross_entropy(model()(x), y)
    assert found.cross_entropy == pytest.approx(float(expected.detach()), rel=1e-6)


class ExampleDataset(torch.utils.data.Dataset):
    """A data set of single examples."""

    def __init__(self, x: Tensor, y: Tensor) -> None:
        self.x, self.y = x, y

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.x[index], int(self.y[index])


FORMS: dict[str, Callable[[Tensor, Tensor], Any]] = {
    "pair": lambda x, y: (x, y),
    "mapping": lambda x, y: {"x": x, "labels": y},
    "data set": ExampleDataset,
    "loader": lambda x, y: DataLoader(TensorDataset(x, y), 7),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("most", [40, 500])
def test_max_examples_counts_examples_with_known_labels(form: str, most: int) -> None:
    x, y, _ = examples()
    found = choose_examples(FORMS[form](x, y), most, seed=0)
    assert len(found.labels) == min(most, N // 2)
    assert found.labels.unique().tolist() == [0, 1, 2]


@pytest.mark.parametrize("form", FORMS)
def test_profile_equals_that_without_ignored_examples(form: str) -> None:
    x, y, known = examples()
    found, expected = (
        lm.profile(model(), FORMS[form](*data), ["input", "final"], progress=False)
        for data in ((x, y), (x[known], y[known]))
    )
    for one, other in zip(found.layers, expected.layers, strict=True):
        assert one.values == other.values


@pytest.mark.parametrize("form", FORMS)
def test_profile_reports_the_number_of_ignored_examples(form: str) -> None:
    x, y, _ = examples()
    found = lm.profile(model(), FORMS[form](x, y), "final", quantities="snnl", progress=False)
    assert (found.n, found.classes) == (N // 2, 3)
    assert "Ignored because of their label: 60 examples." in found.notices


def test_profile_uses_ignore_index() -> None:
    x, y, _ = examples(7)
    found = lm.profile(model(), (x, y), "final", gap_examples=0, progress=False, ignore_index=7)
    assert (found.n, found.classes) == (N // 2, 3)


@pytest.mark.parametrize("form", FORMS)
def test_profile_of_only_ignored_labels_raises_an_error(form: str) -> None:
    data = FORMS[form](torch.randn(10, 5), torch.full((10,), -100))
    with pytest.raises(lm.InputError, match="the labels of all 10 examples are ignored"):
        lm.profile(model(), data, "final", progress=False)
