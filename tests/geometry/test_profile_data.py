"""Profiles accept data in all usual forms, are reproducible, and reject invalid data."""

import math
import random
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

import layermix as lm
from layermix.geometry.profile_data import choose_examples
from subjects import bert, global_states, images, net, sentences


@pytest.mark.parametrize(
    "form", ["tensors", "labels in a list", "data set", "loader", "mapping", "list of batches"]
)
def test_all_forms_of_data_give_the_same_profile(form: str) -> None:
    x, y = images()
    data: object = {
        "tensors": (x, y),
        "labels in a list": (x, y.tolist()),
        "data set": TensorDataset(x, y),
        "loader": DataLoader(TensorDataset(x, y), batch_size=7),
        "mapping": {"input": x, "labels": y},
        "list of batches": list(zip(x.split(30), y.split(30), strict=True)),
    }[form]
    found = lm.profile(net(), data, gap_examples=0)  # pyright: ignore[reportArgumentType]
    expected = lm.profile(net(), (x, y), gap_examples=0)
    for name in ("snnl", "nc1", "cka", "knn"):
        assert found.quantity(name) == pytest.approx(expected.quantity(name), rel=1e-4)


def test_large_loader_is_sampled_uniformly() -> None:
    x = torch.arange(4000.0)[:, None]
    loader = DataLoader(TensorDataset(x, torch.arange(4000) % 2), batch_size=64)
    model = nn.Sequential(nn.Linear(1, 4), nn.ReLU(), nn.Linear(4, 2))
    chosen = choose_examples(loader, 500, seed=0)
    values = chosen.x.flatten() if isinstance(chosen.x, Tensor) else torch.empty(0)
    assert len(values.unique()) == 500
    assert abs(float(values.mean()) - 2000) < 4 * 4000 / math.sqrt(12 * 500)
    assert not values.equal(values.sort().values)
    found = lm.profile(model, loader, max_examples=500, gap_examples=0)
    assert found.n == 500
    assert "Chosen at random: 500 of 4,000 examples." in found.notices


class RandomDataset(Dataset):
    """A data set whose examples draw from all global generators, like augmentations."""

    def __init__(self, form: str) -> None:
        self.x, self.y = images()
        self.form = form

    def __len__(self) -> int:
        return 60

    def __getitem__(self, index: int) -> Any:
        noise = torch.rand(()) + random.random() + np.random.rand()
        x, y = self.x[index] + noise, int(self.y[index])
        return (x, y) if self.form == "pair" else {"pixels": x, "label": y}


@pytest.mark.parametrize("form", ["pair", "mapping"])
@pytest.mark.parametrize("loaded", [False, True])
def test_random_data_use_the_seed_and_restore_generators(form: str, loaded: bool) -> None:
    data = DataLoader(RandomDataset(form), 7, shuffle=True) if loaded else RandomDataset(form)
    values, model = [], net()
    for seed in (1, 2):
        torch.manual_seed(seed)
        np.random.seed(seed)
        random.seed(seed)
        before = global_states()
        values.append(lm.profile(model, data, max_examples=40, gap_examples=0).quantity("snnl"))
        assert global_states() == before
    assert values[0] == values[1]


@pytest.mark.parametrize("labels", ["int32", "uint8", "column", "float", "numpy"])
def test_labels_of_all_usual_types_are_accepted(labels: str) -> None:
    x, y = images()
    forms: dict[str, Any] = {
        "int32": y.int(),
        "uint8": y.byte(),
        "column": y[:, None],
        "float": y.float(),
        "numpy": y.numpy(),
    }
    found = lm.profile(net(), (x.numpy() if labels == "numpy" else x, forms[labels]))
    assert found.layers == lm.profile(net(), (x, y)).layers


def test_hugging_face_datasets_are_accepted() -> None:
    x, y = images()
    datasets = pytest.importorskip("datasets")
    table = datasets.Dataset.from_dict({"image": x.tolist(), "label": y.tolist()})
    found = lm.profile(net(), table.with_format("torch"), gap_examples=0)
    assert found.quantity("cka") == pytest.approx(
        lm.profile(net(), (x, y), gap_examples=0).quantity("cka"), rel=1e-4
    )
    assert lm.profile(net(), list(zip(x, y, strict=True)), gap_examples=0).n == 60


def test_gap_loss_is_nan_for_labels_beyond_the_logits() -> None:
    x, y = images()
    found = lm.profile(net(), (x, y + 10**9))
    assert math.isnan(found["input"].values["gap_loss"])
    assert math.isfinite(found["input"].values["gap"])


def test_labels_beyond_logits_and_nan_logits_are_reported() -> None:
    x, y = images()
    notices = lm.profile(net(), (x, y + 50)).notices
    assert "loss is not measured: some labels are not classes of the logits." in notices
    model = net()
    final = [module for module in model.modules() if isinstance(module, nn.Linear)][-1]
    with torch.no_grad():
        final.weight[0, 0] = math.nan
    found = lm.profile(model, (x, y), ["input", "final"], quantities=["snnl", "gap"])
    assert all(math.isnan(layer.values["gap"]) for layer in found)
    reason = "the logits are NaN or infinite there."
    assert f"gap is not measured at input, final: {reason}" in found.notices


def test_repeated_examples_and_small_classes_are_reported() -> None:
    x, y = images()
    found = lm.profile(net(), (torch.cat([x, x[:5]]), torch.cat([y, y[:5]])), gap_examples=0)
    assert any(n.startswith("5 of 65 examples repeat an earlier one") for n in found.notices)
    few = lm.profile(net(), (x[:24], y[:24]), gap_examples=0)
    assert "The smallest class has 6 examples: all values are imprecise." in few.notices
    assert not any("repeat" in notice for notice in few.notices)


def test_noise_gives_no_advice() -> None:
    torch.manual_seed(0)
    x, y = torch.randn(200, 20), torch.randint(3, (200,))
    model = nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 3))
    text = str(lm.profile(model, (x, y), ["input", "0", "final"], quantities="snnl"))
    assert "No layer separates the classes: SNNL is within two standard errors of chance." in text
    assert "auto" not in text


def test_same_seed_gives_same_profile() -> None:
    values = [
        lm.profile(net(), images(), max_examples=40, seed=s).quantity("snnl") for s in (1, 1, 2)
    ]
    assert values[0] == values[1] != values[2]


def test_single_example_classes_are_excluded_and_counted() -> None:
    x, y = images(61)
    y[60] = 99
    found = lm.profile(net(), (x, y), gap_examples=0)
    assert (found.n, found.classes) == (60, 4)
    assert found.notices == ("Ignored because their class has no other example: 1 examples.",)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ((torch.randn(4, 3, 6, 6), torch.tensor([0, 0, 1, 2])), "geometry needs two such classes"),
        ((torch.randn(4, 3, 6, 6), torch.rand(4)), "with fractions, but must be whole classes"),
        ((torch.randn(4, 3, 6, 6), torch.zeros(3).long()), "4 examples need integer classes"),
        ({"x": torch.randn(4, 3, 6, 6)}, "name them 'labels'"),
        ([], "the data yield no batch"),
        ([torch.randn(4, 3)], "a batch is a Tensor"),
        (7, "the data are a int"),
    ],
)
def test_invalid_data_raise_an_error(data: object, message: str) -> None:
    with pytest.raises(lm.InputError, match=message):
        lm.profile(net(), data)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("padding", [0, 7])
def test_sequences_are_padded_with_pad_token_of_model(padding: int) -> None:
    data = sentences()
    data["input_ids"][data["attention_mask"] == 0] = padding
    lengths = data["attention_mask"].sum(1).tolist()
    batches = [
        {
            "input_ids": data["input_ids"][i : i + 1, :length],
            "attention_mask": torch.ones(1, length).long(),
            "labels": data["labels"][i : i + 1],
        }
        for i, length in enumerate(lengths)
    ]
    model = bert()
    model.config.pad_token_id = padding  # pyright: ignore
    found = choose_examples(batches, 40, seed=0, padding=padding)
    assert isinstance(found.x, dict)
    longest = found.x["input_ids"].shape[1]
    rows = {tuple(row[:longest]) for row in data["input_ids"].tolist()}
    assert {tuple(row) for row in found.x["input_ids"].tolist()} == rows
    expected = lm.profile(model, data, gap_examples=0)
    assert lm.profile(model, batches, gap_examples=0).quantity("cka") == pytest.approx(
        expected.quantity("cka"), rel=1e-4
    )


def test_sequences_of_different_length_require_a_mask() -> None:
    rows = [
        {"input_ids": torch.ones(1, n).long(), "labels": torch.tensor([n % 2])} for n in (3, 5, 4)
    ]
    with pytest.raises(
        lm.InputError, match=r"examples of 'input_ids' have different shapes, such as \(3,\) and"
    ):
        lm.profile(bert(), rows)
