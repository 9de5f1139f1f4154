"""Tests of measurements during training: monitored epochs, values, and the weights of `auto`."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import layermix as lm
from layermix.geometry import MEASURES, QUANTITIES, LayerFeatures
from layermix.lab.data import load
from layermix.lab.data.modalities.images import Normalize
from layermix.lab.data.split import geometry_batch
from layermix.lab.run_setup import fresh_model
from layermix.lab.store import read_result
from layermix.lab.training.loop import Trainer
from short_training import FEW, SHORT, records, trainer


def test_monitoring_does_not_change_training() -> None:
    watched, plain = trainer(("final",)), trainer(("final",))
    watched.measure(last=True)
    assert watched.run_epoch(1) == plain.run_epoch(1)


def test_unmixed_runs_record_geometry_throughout_others_at_the_end(tmp_path: Path) -> None:
    held = [
        [e["epoch"] for e in records(tmp_path / v, v) if "geometry" in e] for v in ("none", "input")
    ]
    assert held == [[0, 2, 4], [4]]
    assert [e["epoch"] for e in read_result(tmp_path / "input").records if "snnl" in e] == [0, 2, 4]
    off = records(tmp_path / "off", "none", geometry=False)
    assert not any("geometry" in e for e in off)
    assert [e["epoch"] for e in off if "snnl" in e] == [0, 2, 4]


def test_recorded_geometry_equals_the_geometry_of_saved_weights(tmp_path: Path) -> None:
    last = records(tmp_path / "one", "none")[-1]
    data = load(FEW)
    net = fresh_model("mlp", data, 0)
    net.load_state_dict(load_file(tmp_path / "one/weights.safetensors"))
    batch, normalize = geometry_batch(data, "validation"), Normalize.of(data.train.inputs)
    for point, x in lm.activations(net, normalize(batch.inputs), list(last["geometry"])).items():
        found = last["geometry"][point]
        assert set(found) == set(QUANTITIES)
        layer = LayerFeatures(x, batch.labels)
        for name, measure in MEASURES.items():
            assert found[name] == pytest.approx(measure.compute(layer), rel=1e-3, abs=1e-6)
    assert last["geometry"]["final"]["gap"] < 1e-6


def test_auto_weights_are_proportional_to_class_separation(tmp_path: Path) -> None:
    last = records(tmp_path / "auto", "auto")[-1]
    data = load(FEW)
    net = fresh_model("mlp", data, 0)
    net.load_state_dict(load_file(tmp_path / "auto/weights.safetensors"))
    batch = geometry_batch(data, "training")
    x = Normalize.of(data.train.inputs)(batch.inputs)
    found = {
        p: lm.snnl(f, batch.labels) for p, f in lm.activations(net, x, [*last["snnl"]]).items()
    }
    apart = {point: max(0.0, 1 - each.value / each.chance) for point, each in found.items()}
    shares = {point: value / sum(apart.values()) for point, value in apart.items()}
    assert last["weights"] == pytest.approx(shares, abs=1e-4)
    assert not any("weights" in e for e in records(tmp_path / "equal", "auto", adapt=False))
    assert not any("weights" in e for e in records(tmp_path / "random", "random"))


def test_training_does_not_depend_on_validation_images() -> None:
    """Two `auto` runs with different validation images have equal parameters and point weights."""
    data, recipe = load(FEW), replace(SHORT, epochs=3, monitor=3, snnl_weight=0.1)
    other = replace(data, val=data.test)
    points = ("input", "block3", "final")
    trained = []
    for each in (data, other):
        net = fresh_model("mlp", each, 0)
        own = Trainer(net, each, recipe, points, monitor_at=points, adapt=True)
        records = own.train().records
        weights = [record["weights"] for record in records if "weights" in record]
        trained.append((net.state_dict(), weights))
    (first, first_weights), (second, second_weights) = trained
    assert first_weights == second_weights
    assert len(first_weights) == 4
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_recorded_auto_weights_equal_the_mixer_weights() -> None:
    data = load(FEW)
    points = ("input", "block3", "final")
    net = fresh_model("mlp", data, 0)
    own = Trainer(net, data, SHORT, points, monitor_at=points, adapt=True)
    assert own.mixer is not None
    assert own.measure()["weights"] == pytest.approx(dict(own.mixer.weights), abs=1e-9)
    own.run_epoch(1)
    assert own.measure()["weights"] == pytest.approx(dict(own.mixer.weights), abs=1e-9)
    assert len(own.mixer.weight_history) == 3
