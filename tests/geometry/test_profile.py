"""A profile holds, for every layer, what the measures give on that layer's activations."""

import json
import math
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, TensorDataset
from transformers import BertConfig, BertForSequenceClassification

import layermix as lm
from layermix.geometry import MEASURES, QUANTITIES, Layer, interpolation_gap
from layermix.geometry.profiles.examples import collect
from layermix.geometry.profiles.features import examples_that_fit
from layermix.geometry.profiles.pooling import pooling
from layermix.lab.bench.timing import peak_memory


def net(width: int = 8) -> nn.Module:
    torch.manual_seed(0)
    block = [
        nn.Sequential(nn.Conv2d(3 if k == 0 else width, width, 3, padding=1), nn.BatchNorm2d(width))
        for k in range(2)
    ]
    return nn.Sequential(*block, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 4))


def images(n: int = 60, classes: int = 4) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    y = torch.arange(n) % classes
    return torch.randn(n, 3, 6, 6, generator=generator) + 0.5 * y[:, None, None, None], y


def test_every_layer_has_every_quantity_of_its_own_activations() -> None:
    model, (x, y) = net(), images()
    found = lm.profile(model, (x, y), seed=3)
    assert found.points == ["input", "0", "1", "final", "logits"]
    order = np.random.default_rng(3).permutation(60)
    x, y = x[order], y[order]
    gaps = interpolation_gap(model, x, y, found.points, seed=3)
    for point, features in lm.activations(model, x, found.points).items():
        layer, own = Layer(features, y), found[point]
        wanted = {name: measure.compute(layer) for name, measure in MEASURES.items()}
        wanted |= {"gap": gaps[point].kl, "gap_loss": gaps[point].cross_entropy}
        assert own.values == pytest.approx(wanted, rel=1e-5, abs=1e-9)
        reference = lm.snnl(features, y)
        assert own.snnl == pytest.approx(reference.value)
        assert own.temperature == pytest.approx(reference.temperature)
        assert own.standard_error == pytest.approx(reference.standard_error)
        assert found.chance == pytest.approx(reference.chance)
        assert own.features == features[0].numel()
    assert (found.n, found.mixed, found.classes, found.notices) == (60, 60, 4, ())


def test_the_model_and_global_random_states_are_left_as_they_were() -> None:
    model = net()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    states = global_states()
    lm.profile(model, images())
    assert model.training
    assert all(value.equal(before[name]) for name, value in model.state_dict().items())
    assert global_states() == states
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


@pytest.mark.parametrize("form", ["tensors", "data set", "loader", "mapping", "list of batches"])
def test_any_form_of_the_data_gives_the_same_profile_of_all_examples(form: str) -> None:
    x, y = images()
    data: object = {
        "tensors": (x, y),
        "data set": TensorDataset(x, y),
        "loader": DataLoader(TensorDataset(x, y), batch_size=7),
        "mapping": {"input": x, "labels": y},
        "list of batches": list(zip(x.split(30), y.split(30), strict=True)),
    }[form]
    found = lm.profile(net(), data, mixed=0)  # pyright: ignore[reportArgumentType]
    expected = lm.profile(net(), (x, y), mixed=0)
    for name in ("snnl", "nc1", "cka", "knn"):
        assert found.quantity(name) == pytest.approx(expected.quantity(name), rel=1e-4)


def test_a_loader_that_holds_more_is_sampled_evenly() -> None:
    x = torch.arange(4000.0)[:, None]
    loader = DataLoader(TensorDataset(x, torch.arange(4000) % 2), batch_size=64)
    model = nn.Sequential(nn.Linear(1, 4), nn.ReLU(), nn.Linear(4, 2))
    chosen = collect(loader, 500, seed=0)
    values = chosen.x.flatten() if isinstance(chosen.x, Tensor) else torch.empty(0)
    assert len(values.unique()) == 500
    assert abs(float(values.mean()) - 2000) < 4 * 4000 / math.sqrt(12 * 500)
    assert not values.equal(values.sort().values)
    found = lm.profile(model, loader, examples=500, mixed=0)
    assert found.n == 500
    assert found.notices == ("500 of 4,000 examples were chosen at random.",)


class Lazy(Dataset):
    """A data set whose examples draw from every global generator, as augmentations do."""

    def __init__(self, form: str) -> None:
        self.x, self.y = images()
        self.form = form

    def __len__(self) -> int:
        return 60

    def __getitem__(self, index: int) -> Any:
        noise = torch.rand(()) + random.random() + np.random.rand()
        x, y = self.x[index] + noise, int(self.y[index])
        return (x, y) if self.form == "pair" else {"pixels": x, "label": y}


def global_states() -> tuple:
    arrays: Any = np.random.get_state()
    return torch.get_rng_state().tolist(), arrays[1].tolist(), random.getstate()


@pytest.mark.parametrize("form", ["pair", "mapping"])
@pytest.mark.parametrize("loaded", [False, True])
def test_what_data_draw_follows_the_seed_and_leaves_no_trace(form: str, loaded: bool) -> None:
    data = DataLoader(Lazy(form), 7, shuffle=True) if loaded else Lazy(form)
    values, model = [], net()
    for seed in (1, 2):
        torch.manual_seed(seed)
        np.random.seed(seed)
        random.seed(seed)
        before = global_states()
        values.append(lm.profile(model, data, examples=40, mixed=0).quantity("snnl"))
        assert global_states() == before
    assert values[0] == values[1]


@pytest.mark.parametrize("labels", ["int32", "uint8", "column", "float", "numpy"])
def test_labels_of_any_usual_form_are_classes(labels: str) -> None:
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


def test_hugging_face_data_sets_are_data_sets() -> None:
    x, y = images()
    table = datasets.Dataset.from_dict({"image": x.tolist(), "label": y.tolist()})
    found = lm.profile(net(), table.with_format("torch"), mixed=0)
    assert found.quantity("cka") == pytest.approx(
        lm.profile(net(), (x, y), mixed=0).quantity("cka"), rel=1e-4
    )
    assert lm.profile(net(), list(zip(x, y, strict=True)), mixed=0).n == 60


def test_labels_that_are_no_classes_of_the_logits_leave_the_loss_out() -> None:
    x, y = images()
    found = lm.profile(net(), (x, y + 10**9))
    assert math.isnan(found["input"].values["gap_loss"])
    assert math.isfinite(found["input"].values["gap"])


def test_no_forward_pass_is_larger_than_the_batch_size() -> None:
    model, sizes = net(), []
    model.register_forward_pre_hook(lambda _, args: sizes.append(len(args[0])))
    lm.profile(model, images(), batch_size=7)
    assert max(sizes) <= 7
    assert min(sizes) >= 2


def test_a_model_in_float64_is_measured_in_float64() -> None:
    x, y = images()
    x, model = x.double(), net().double()
    features = lm.activations(model, x, "1")["1"]
    own = lm.profile(model, (x, y), "1", mixed=0)["1"]
    assert own.values["nc1"] == pytest.approx(MEASURES["nc1"].compute(Layer(features, y)), rel=1e-9)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"examples": 3}, "examples is 3, but must be a whole number, 4 or more"),
        ({"examples": 10.5}, "examples is 10.5"),
        ({"mixed": 1}, "mixed is 1, but must be a whole number, 2 or more"),
        ({"batch_size": -1}, "batch_size is -1"),
        ({"seed": -1}, "seed is -1"),
        ({"ratios": ()}, "ratios are ()"),
        ({"ratios": (2.0,)}, r"ratios are \(2.0,\), but must be one or more numbers in \[0, 1\]"),
        ({"points": []}, "points is empty"),
        ({"pool": "max"}, "unknown pool 'max'"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(lm.InputError, match=message):
        lm.profile(net(), images(), **settings)


def test_the_same_seed_gives_the_same_profile() -> None:
    values = [lm.profile(net(), images(), examples=40, seed=s).quantity("snnl") for s in (1, 1, 2)]
    assert values[0] == values[1] != values[2]


def wide() -> tuple[nn.Module, tuple[Tensor, Tensor]]:
    """Return a net whose widest layers have 4,096 features, and 60 images."""
    _, y = images()
    return net(16), (torch.randn(60, 3, 16, 16) + 0.5 * y[:, None, None, None], y)


def test_features_too_large_for_memory_go_to_disk_with_the_same_result() -> None:
    inside = lm.profile(*wide(), mixed=0)
    with watched_files() as files:
        torch.manual_seed(0)
        outside = lm.profile(*wide(), mixed=0, memory=4 * 60 * 4096)
    assert len(files) == 5
    assert not any(path.exists() for path in files)
    assert outside.quantity("nc1").keys() == inside.quantity("nc1").keys()
    assert outside.notices == ()


@contextmanager
def watched_files() -> Iterator[list[Path]]:
    """Note which files features are written to, and that nothing holds them when they go."""
    found: list[Path] = []
    memmap = np.memmap

    def noted(path: Path, *args: Any, **options: Any) -> np.ndarray:
        found.append(Path(path))
        return memmap(path, *args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(np, "memmap", noted)
        yield found


def test_spilled_features_give_equal_profiles() -> None:
    data = wide()[1]
    values = [
        lm.profile(net(16), data, mixed=0, memory=memory).to_json()
        for memory in (2**30, 4 * 60 * 4096)
    ]
    assert values[0] == values[1]


def test_one_layer_too_wide_means_fewer_examples_everywhere_and_a_notice() -> None:
    model, data = wide()
    found = lm.profile(model, data, mixed=0, memory=4 * 40 * 4096)
    assert found.n == 40
    assert "No more than 40 of them fit into memory" in found.notices[0]
    layers = {"wide": pooling((1000,), "auto", set())}
    assert examples_that_fit(model, layers, 500, 4 * 1000 * 200) == math.isqrt(4 * 1000 * 200 // 56)
    assert examples_that_fit(model, layers, 50, 4 * 1000 * 50) == 50
    assert examples_that_fit(model.double(), layers, 500, 8 * 1000 * 60) == 60
    with pytest.raises(lm.InputError, match=r"only 10 examples fit .* 'wide' has 1,000 features"):
        examples_that_fit(net(), layers, 500, 4 * 1000 * 10)


def test_a_narrow_layer_takes_no_more_memory_than_was_given() -> None:
    model = nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 2))
    data = torch.randn(4000, 8), torch.arange(4000) % 2
    grown = peak_memory(lambda: lm.profile(model, data, examples=4000, mixed=0, memory=30_000_000))
    assert math.isnan(grown) or grown < 60


class Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer, self.head = nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layer(self.layer(x)))


def test_points_can_be_chosen_and_wrong_ones_are_refused() -> None:
    model, data = net(), images()
    assert lm.profile(model, data, ["3", "input"], mixed=0).points == ["3", "input"]
    assert lm.profile(model, data, "0.0", mixed=0)["0.0"].module == "Conv2d"
    with pytest.raises(lm.InputError, match="'layer9'"):
        lm.profile(model, data, "layer9")
    with pytest.raises(lm.InputError, match="'layer' cannot be measured: it is called 2 times"):
        lm.profile(Twice(), (torch.randn(40, 4), torch.arange(40) % 2), "layer")


def test_examples_alone_in_their_class_are_left_out_and_counted() -> None:
    x, y = images(61)
    y[60] = 99
    found = lm.profile(net(), (x, y), mixed=0)
    assert (found.n, found.classes) == (60, 4)
    assert found.notices == ("1 examples that are alone in their class were left out.",)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ((torch.randn(4, 3, 6, 6), torch.tensor([0, 0, 1, 2])), "geometry needs two such classes"),
        ((torch.randn(4, 3, 6, 6), torch.rand(4)), "with fractions, but must be whole classes"),
        ((torch.randn(4, 3, 6, 6), torch.zeros(3).long()), "4 examples need integer classes"),
        ({"x": torch.randn(4, 3, 6, 6)}, "call them 'labels'"),
        ([], "the data yield no batch"),
        ([torch.randn(4, 3)], "a batch is a Tensor"),
        (7, "the data are a int"),
    ],
)
def test_data_that_cannot_be_measured_are_refused(data: object, message: str) -> None:
    with pytest.raises(lm.InputError, match=message):
        lm.profile(net(), data)  # pyright: ignore[reportArgumentType]


def test_a_layer_that_is_not_finite_is_named_and_the_others_measured() -> None:
    class Broken(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.masked_fill(x > x.max() - 1e-6, math.nan)

    model = nn.Sequential(nn.Linear(5, 4), Broken(), nn.Linear(4, 2))
    x, y = torch.randn(40, 5), torch.arange(40) % 2
    found = lm.profile(model, (x, y), ["0", "1"], mixed=0)
    assert math.isnan(found["1"].snnl)
    assert math.isfinite(found["0"].snnl)
    assert found.notices == ("1: its features are NaN or infinite.",)
    assert "–" in str(found)


def bert() -> nn.Module:
    torch.manual_seed(0)
    sizes = {"vocab_size": 50, "hidden_size": 16, "intermediate_size": 32}
    layers = {"num_hidden_layers": 2, "num_attention_heads": 2}
    return BertForSequenceClassification(BertConfig(**sizes, **layers, num_labels=2))  # pyright: ignore[reportCallIssue]


def sentences(n: int = 40) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    lengths = torch.randint(3, 10, (n, 1), generator=generator)
    mask = (torch.arange(10) < lengths).long()
    return {
        "input_ids": torch.randint(1, 50, (n, 10), generator=generator) * mask,
        "attention_mask": mask,
        "labels": torch.arange(n) % 2,
    }


POSITIONS = {
    "mean": lambda h, m: (h * m[..., None]).sum(1) / m.sum(1, keepdim=True),
    "first": lambda h, m: h[:, 0],
    "last": lambda h, m: h[torch.arange(len(h)), m.sum(1) - 1],
}


@pytest.mark.parametrize("pool", ["auto", *POSITIONS])
def test_tokens_are_pooled_over_the_positions_that_the_mask_keeps(pool: str) -> None:
    model, data = bert(), sentences()
    found = lm.profile(model, data, pool=pool, mixed=0)  # pyright: ignore[reportArgumentType]
    assert found.points == ["bert.encoder.layer.0", "bert.encoder.layer.1", "final", "logits"]
    own = found["bert.encoder.layer.1"]
    assert own.pooled == f"{'mean' if pool == 'auto' else pool} of 10 positions"
    x = {name: data[name] for name in ("input_ids", "attention_mask")}
    hidden = lm.activations(model, x, own.point)[own.point]
    features = POSITIONS["mean" if pool == "auto" else pool](hidden, data["attention_mask"])
    assert own.snnl == pytest.approx(lm.snnl(features, data["labels"]).value, rel=1e-4)


@pytest.mark.parametrize("padding", [0, 7])
def test_sequences_of_different_length_are_padded_as_the_model_has_it(padding: int) -> None:
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
    found = collect(batches, 40, seed=0, padding=padding)
    assert isinstance(found.x, dict)
    longest = found.x["input_ids"].shape[1]
    rows = {tuple(row[:longest]) for row in data["input_ids"].tolist()}
    assert {tuple(row) for row in found.x["input_ids"].tolist()} == rows
    expected = lm.profile(model, data, mixed=0)
    assert lm.profile(model, batches, mixed=0).quantity("cka") == pytest.approx(
        expected.quantity("cka"), rel=1e-4
    )


def test_sequences_of_different_length_need_a_mask() -> None:
    rows = [
        {"input_ids": torch.ones(1, n).long(), "labels": torch.tensor([n % 2])} for n in (3, 5, 4)
    ]
    with pytest.raises(
        lm.InputError, match=r"examples of 'input_ids' differ in shape, as \(3,\) and"
    ):
        lm.profile(bert(), rows)


@pytest.mark.parametrize(
    ("shape", "pool", "widths", "shown", "features"),
    [
        ((7,), "auto", set(), "as it is", 7),
        ((7,), "mean", set(), "as it is", 7),
        ((5, 16), "auto", {16}, "mean of 5 positions", 16),
        ((5, 16), "flatten", {16}, "flattened", 80),
        ((16, 5), "auto", set(), "flattened", 80),
        ((16, 5), "mean", set(), "mean of 5 positions", 16),
        ((16, 4, 4), "auto", {16}, "flattened", 256),
        ((16, 4, 4), "mean", {16}, "mean of 16 positions", 16),
        ((4, 4, 16), "mean", {16}, "mean of 16 positions", 16),
        ((16, 16, 16), "first", {16}, "first of 256 positions", 16),
    ],
)
def test_positions_are_told_from_features(
    shape: tuple[int, ...], pool: str, widths: set[int], shown: str, features: int
) -> None:
    found = pooling(shape, pool, widths)  # pyright: ignore[reportArgumentType]
    assert str(found) == shown
    assert found(torch.randn(3, *shape)).shape == (3, features) == (3, found.features)


def test_means_run_over_positions_of_maps_in_either_order() -> None:
    x = torch.randn(3, 16, 4, 5)
    expected = x.mean((2, 3))
    torch.testing.assert_close(pooling((16, 4, 5), "mean", set())(x), expected)
    last = pooling((4, 5, 16), "mean", {16})(x.permute(0, 2, 3, 1))
    torch.testing.assert_close(last, expected)


def test_a_profile_prints_and_comes_back_from_json_csv_and_frame(tmp_path: Path) -> None:
    found = lm.profile(net(), images())
    text = str(found)
    for line in (
        "input",
        "final",
        "SNNL ↓",
        "N = 60 examples of 4 classes",
        "input to 1 flattened",
    ):
        assert line in text
    again = lm.Profile.from_json(found.to_json(tmp_path / "p.json"))
    assert again == found
    assert again.to_json() == (tmp_path / "p.json").read_text()
    frame = found.to_frame()
    assert list(frame.index) == found.points
    assert frame.loc["final", "snnl"] == found["final"].values["snnl"]
    header, *rows = found.to_csv(tmp_path / "p.csv").splitlines()
    assert set(QUANTITIES) <= set(header.split(","))
    assert len(rows) == 5
    with pytest.raises(lm.InputError, match="not the JSON of a profile"):
        lm.Profile.from_json("[]")


def test_numbers_that_json_lacks_are_null() -> None:
    found = lm.profile(net(), images(), mixed=0)
    layers = json.loads(found.to_json())["layers"]
    assert layers[0]["values"]["gap"] is None
    assert math.isnan(lm.Profile.from_json(found.to_json())["input"].values["gap"])


def test_hostile_names_are_escaped_in_a_notebook() -> None:
    model = nn.Sequential()
    model.add_module("<b>$x$", nn.Linear(5, 4))
    model.add_module("head", nn.Linear(4, 2))
    found = lm.profile(model, (torch.randn(40, 5), torch.arange(40) % 2), "<b>$x$")
    assert "&lt;b&gt;" in found._repr_html_()
    assert "<b>" not in found._repr_html_()
    found.plot()


def test_the_picture_has_a_panel_for_each_quantity(tmp_path: Path) -> None:
    figure = lm.profile(net(), images()).plot(tmp_path / "p.svg")
    titles = [axes.get_title() for axes in figure.axes]
    assert len(titles) == len(QUANTITIES)
    for quantity, title in zip(QUANTITIES.values(), titles, strict=True):
        assert title.startswith(quantity.heading)
    assert "<svg" in (tmp_path / "p.svg").read_text()
    assert len(lm.profile(net(), images(), mixed=0).plot().axes) == len(MEASURES)
