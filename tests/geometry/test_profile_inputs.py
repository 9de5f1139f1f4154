"""Profiles of models with several inputs: accepted forms of data and errors."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

import layermix as lm


class TwoInputModel(nn.Module):
    """A model with two input vectors, passed by position or by name."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.fc = nn.Linear(4, 6), nn.Linear(3, 6), nn.Linear(6, 3)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return self.fc(torch.tanh(self.first(a) + self.second(b)))


def rows() -> tuple[Tensor, Tensor, Tensor]:
    y = torch.arange(60) % 3
    noise = torch.Generator().manual_seed(0)
    a = torch.randn(60, 4, generator=noise) + y[:, None]
    return a, torch.randn(60, 3, generator=noise), y


class ExampleDataset(Dataset):
    """A data set of single examples, whose inputs are grouped, named or ungrouped."""

    def __init__(self, form: str) -> None:
        self.form = form

    def __len__(self) -> int:
        return 60

    def __getitem__(self, index: int) -> Any:
        a, b, y = (column[index] for column in rows())
        forms = {"together": ((a, b), y), "by name": {"a": a, "b": b, "y": y}, "flat": (a, b, y)}
        return forms[self.form]


def grouped_batches(kind: type) -> Iterator[Any]:
    for a, b, y in DataLoader(TensorDataset(*rows()), 7):
        yield (kind((a, b)), y) if kind is not np.ndarray else ((a.numpy(), b.numpy()), y.numpy())


a, b, y = rows()
DATA: dict[str, Any] = {
    "tensors": ((a, b), y),
    "lists": [[a, b], y],
    "arrays": ((a.numpy(), b.numpy()), y.numpy()),
    "labels in a list": ((a, b), y.tolist()),
    "two batches": [((a[:30], b[:30]), y[:30]), ((a[30:], b[30:]), y[30:])],
    "names": {"a": a, "b": b, "labels": y},
    "a data set": ExampleDataset("together"),
    "a data set with names": ExampleDataset("by name"),
    "a loader": DataLoader(ExampleDataset("together"), 7),
    "a loader with names": DataLoader(ExampleDataset("by name"), 7),
    "single examples": [ExampleDataset("together")[k] for k in range(60)],
    "tuples": list(grouped_batches(tuple)),
    "lists in batches": list(grouped_batches(list)),
    "arrays in batches": list(grouped_batches(np.ndarray)),
}


def profile_values(data: Any) -> dict[str, float]:
    torch.manual_seed(0)
    found = lm.profile(TwoInputModel(), data, ["first", "final"], quantities=["snnl", "cka", "gap"])
    assert found.n == 60
    assert found.notices == ("gap is not measured at first: part of each example bypasses it.",)
    assert math.isnan(found["first"].values["gap"])
    assert found["final"].values["gap"] < 1e-6
    return {q: found["final"].values[q] for q in ("snnl", "cka")}


@pytest.mark.parametrize("form", DATA)
def test_all_forms_of_data_give_the_same_values(form: str) -> None:
    features = lm.activations(TwoInputModel(), (a, b), "final")["final"]
    assert features.shape == (60, 6)
    assert profile_values(DATA[form]) == pytest.approx(profile_values(((a, b), y)), rel=1e-4)


def test_features_depend_on_all_inputs() -> None:
    torch.manual_seed(0)
    model = TwoInputModel()
    found = lm.profile(model, ((a, b), y), "final", quantities="snnl")
    features = torch.tanh(model.first(a) + model.second(b))
    assert found["final"].snnl == pytest.approx(lm.snnl(features, y).value, rel=1e-5)


def test_scalar_input_is_shared_by_all_examples() -> None:
    class Scaled(TwoInputModel):
        def forward(self, a: Tensor, b: Tensor) -> Tensor:
            return self.fc(torch.tanh(self.first(a) * b))

    parts = zip(a.split(7), y.split(7), strict=True)
    data = [((part, torch.tensor(2.0)), labels) for part, labels in parts]
    assert lm.profile(Scaled(), data, "final", quantities="snnl").n == 60


def test_repeated_examples_have_all_inputs_equal() -> None:
    same = a[:1].expand(60, -1)
    assert lm.profile(TwoInputModel(), ((same, b), y), "final", quantities="cka").notices == ()
    (notice,) = lm.profile(
        TwoInputModel(), ((same, same[:, :3]), y), "final", quantities="cka"
    ).notices
    assert notice.startswith("59 of 60 examples repeat an earlier one")


@pytest.mark.parametrize(
    ("data", "found"),
    [
        ((a, b, y), r"a tuple of 3 with shapes \(60, 4\), \(60, 3\), \(60,\)"),
        (DataLoader(TensorDataset(a, b, y), 7), r"a list of 3 with shapes \(7, 4\), \(7, 3\), "),
        (TensorDataset(a, b, y), r"a tuple of 3 with shapes \(4,\), \(3,\), \(\)"),
        (
            DataLoader(ExampleDataset("flat"), 7),
            r"a list of 3 with shapes \(7, 4\), \(7, 3\), \(7,\)",
        ),
    ],
)
def test_ungrouped_inputs_raise_a_helpful_error(data: Any, found: str) -> None:
    remedy = r"group several inputs, as in \[\(\(a, b\), labels\) for a, b, labels in loader\]"
    with pytest.raises(lm.InputError, match=rf"a batch is {found}.*must be a pair .*: {remedy}"):
        lm.profile(TwoInputModel(), data)


def test_unknown_input_name_raises_an_error() -> None:
    with pytest.raises(lm.InputError, match=r"failed on a batch of a \(2, 4\), c \(2, 3\): .*'c'"):
        lm.profile(TwoInputModel(), {"a": a, "c": b, "labels": y})


def test_inputs_that_are_not_tensors_raise_an_error() -> None:
    with pytest.raises(lm.InputError, match="the inputs are a list of 2, but must be a tensor"):
        lm.profile(TwoInputModel(), [(["one", "two"], y[:2])])
