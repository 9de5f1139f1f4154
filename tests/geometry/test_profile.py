"""lm.profile returns the values of all measures for every layer."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import layermix as lm
from layermix.geometry import MEASURES, QUANTITIES, LayerFeatures, auto_weights, interpolation_gap
from subjects import bert, global_states, images, net, sentences


def test_profile_equals_measures_of_each_activation() -> None:
    model, (x, y) = net(), images()
    found = lm.profile(model, (x, y), seed=3)
    assert found.points == ["input", "0", "1", "final", "logits"]
    order = np.random.default_rng(3).permutation(60)
    x, y = x[order], y[order]
    gaps = interpolation_gap(model, x, y, found.points, seed=3)
    for point, features in lm.activations(model, x, found.points).items():
        layer, own = LayerFeatures(features, y), found[point]
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


def test_model_and_global_generators_are_not_modified() -> None:
    model = net()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    states = global_states()
    lm.profile(model, images())
    assert model.training
    assert all(value.equal(before[name]) for name, value in model.state_dict().items())
    assert global_states() == states
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_float64_model_is_measured_in_float64() -> None:
    x, y = images()
    x, model = x.double(), net().double()
    features = lm.activations(model, x, "1")["1"]
    own = lm.profile(model, (x, y), "1", gap_examples=0)["1"]
    assert own.values["nc1"] == pytest.approx(
        MEASURES["nc1"].compute(LayerFeatures(features, y)), rel=1e-9
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_examples": 3}, "max_examples is 3, but must be a whole number, 4 or more"),
        ({"max_examples": 10.5}, "max_examples is 10.5"),
        ({"gap_examples": 1}, "gap_examples is 1, but must be a whole number, 2 or more"),
        ({"batch_size": -1}, "batch_size is -1"),
        ({"seed": -1}, "seed is -1"),
        ({"gap_ratios": ()}, "ratios are ()"),
        (
            {"gap_ratios": (2.0,)},
            r"ratios are \(2.0,\), but must be one or more numbers in \[0, 1\]",
        ),
        ({"at": []}, "there is no mix point to measure"),
        ({"pool": "max"}, "unknown pool 'max'"),
        ({"quantities": "snll"}, "unknown quantity 'snll': did you mean 'snnl'"),
        ({"quantities": []}, "quantities is empty"),
    ],
)
def test_invalid_settings_raise_an_error(settings: dict, message: str) -> None:
    with pytest.raises(lm.InputError, match=message):
        lm.profile(net(), images(), **settings)


class ReusedLayer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer, self.head = nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layer(self.layer(x)))


def test_points_can_be_selected_and_invalid_ones_raise_an_error() -> None:
    model, data = net(), images()
    assert lm.profile(model, data, ["3", "input"], gap_examples=0).points == ["3", "input"]
    assert lm.profile(model, data, "0.0", gap_examples=0)["0.0"].module == "Conv2d"
    with pytest.raises(lm.InputError, match="'layer9'"):
        lm.profile(model, data, "layer9")
    with pytest.raises(lm.InputError, match="'layer' cannot be measured: it is called 2 times"):
        lm.profile(ReusedLayer(), (torch.randn(40, 4), torch.arange(40) % 2), "layer")


def test_final_layer_is_found_by_data_flow() -> None:
    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.last = nn.Linear(4, 6), nn.Linear(6, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.last(torch.relu(self.fc(x)))

    model, x, y = Named(), torch.randn(40, 4), torch.arange(40) % 2
    own = lm.profile(model, (x, y), "final", quantities="snnl")["final"]
    features = lm.activations(model, x, "final")["final"]
    assert (own.shape, own.features) == ((6,), 6)
    assert own.snnl == pytest.approx(lm.snnl(features, y).value, rel=1e-5)


def test_layer_with_nan_features_is_reported_and_skipped() -> None:
    class Broken(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.masked_fill(x > x.max() - 1e-6, math.nan)

    model = nn.Sequential(nn.Linear(5, 4), Broken(), nn.Linear(4, 2))
    x, y = torch.randn(40, 5), torch.arange(40) % 2
    found = lm.profile(model, (x, y), ["0", "1"], gap_examples=0)
    assert math.isnan(found["1"].snnl)
    assert math.isfinite(found["0"].snnl)
    (notice,) = [each for each in found.notices if each.startswith("1 is not measured: ")]
    assert "of 40 examples" in notice
    assert "NaN or infinite, the first at row " in notice
    assert "–" in str(found)


def test_profile_exports_text_json_csv_and_frame(tmp_path: Path) -> None:
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


def test_nan_is_null_in_json() -> None:
    found = lm.profile(net(), images(), gap_examples=0)
    layers = json.loads(found.to_json())["layers"]
    assert layers[0]["values"]["gap"] is None
    assert math.isnan(lm.Profile.from_json(found.to_json())["input"].values["gap"])


def test_layer_names_are_escaped_in_html() -> None:
    model = nn.Sequential()
    model.add_module("<b>$x$", nn.Linear(5, 4))
    model.add_module("head", nn.Linear(4, 2))
    found = lm.profile(model, (torch.randn(40, 5), torch.arange(40) % 2), "<b>$x$")
    assert "&lt;b&gt;" in found._repr_html_()
    assert "<b>" not in found._repr_html_()
    found.plot()


def test_plot_has_one_panel_per_quantity(tmp_path: Path) -> None:
    figure = lm.profile(net(), images()).plot(tmp_path / "p.svg")
    titles = [axes.get_title() for axes in figure.axes]
    assert len(titles) == len(QUANTITIES)
    for quantity, title in zip(QUANTITIES.values(), titles, strict=True):
        assert title.startswith(quantity.heading)
    assert "<svg" in (tmp_path / "p.svg").read_text()
    assert len(lm.profile(net(), images(), gap_examples=0).plot().axes) == len(MEASURES)


def test_selected_quantities_equal_those_of_full_profile() -> None:
    model, data = net(), images()
    whole = lm.profile(model, data)
    for names in (["snnl"], ["gap", "knn"], ["gap_loss"], ["probe", "intrusion"]):
        found = lm.profile(model, data, quantities=names)
        assert found.quantities == [name for name in QUANTITIES if name in names]
        for layer in found:
            assert layer.values == {name: whole[layer.point].values[name] for name in names}
        assert math.isfinite(found["final"].snnl) == ("snnl" in names)
        assert lm.Profile.from_json(found.to_json()).points == found.points
        assert len(found.plot().axes) == len(names)
        shown = {name for name in QUANTITIES if f" {QUANTITIES[name].short} " in str(found)}
        assert shown == set(names)
        assert set(found.to_frame().columns) & set(QUANTITIES) == set(names)
        with pytest.raises(lm.InputError, match="unknown quantity of this profile 'cka'"):
            found.quantity("cka")


def test_nothing_is_mixed_without_gap_quantities() -> None:
    called = []
    model = net()
    model.register_forward_hook(lambda *_: called.append(1))
    lm.profile(model, images(), quantities="snnl")
    alone, called[:] = len(called), []
    found = lm.profile(model, images(), gap_examples=0)
    assert len(called) == alone
    assert (found.mixed, found.ratios) == (0, ())


def test_profile_reports_missing_values_and_auto_weights() -> None:
    tokens = lm.profile(bert(), sentences())
    assert "input is left out: its values are integers" in str(tokens)
    assert "intr≠ is not measured: it needs three classes" in str(tokens)
    text = str(lm.profile(net(), images(), gap_ratios=(0.25, 0.5)))
    assert "60 of them mixed at ratios 0.25, 0.5" in text
    weights = auto_weights(lm.profile(net(), images()))
    best = max(weights, key=lambda name: weights[name])
    advice = 'By SNNL alone, at="auto" would mix most often at'
    assert f"{advice} {best} ({weights[best]:.0%})" in text
    assert "the standard error of SNNL / chance is at most 0.0" in text
    assert "at=" not in str(lm.profile(net(), images(), "final"))


def test_mean_pooling_with_class_token_gives_a_notice() -> None:
    timm = pytest.importorskip("timm")
    model = timm.create_model("test_vit", num_classes=4, img_size=160)
    x, y = torch.randn(16, 3, 160, 160), torch.arange(16) % 4
    expected = "The model has a cls_token: pool='first' uses only this position."
    assert expected in lm.profile(model, (x, y), gap_examples=0).notices
    assert expected not in lm.profile(model, (x, y), gap_examples=0, pool="first").notices
