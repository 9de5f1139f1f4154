"""What is measured during training: when, of which weights, and what `auto` makes of it."""

from pathlib import Path

import pytest
from safetensors.torch import load_file
from short_training import FEW, SHORT, records, trainer

import layermix as lm
from layermix.geometry import MEASURES, QUANTITIES, Layer
from layermix.lab.data import Normalise, load, watch_batch
from layermix.lab.run import fresh_net
from layermix.lab.store import read_epochs
from layermix.lab.training.train import Trainer


def test_watching_does_not_change_training() -> None:
    watched, plain = trainer(("final",)), trainer(("final",))
    watched.measure(last=True)
    assert watched.run_epoch(1) == plain.run_epoch(1)


def test_unmixed_runs_measure_all_layers_all_along_others_at_the_end(tmp_path: Path) -> None:
    held = [
        [e["epoch"] for e in records(tmp_path / v, v) if "geometry" in e] for v in ("none", "input")
    ]
    assert held == [[0, 2, 4], [4]]
    assert [e["epoch"] for e in read_epochs(tmp_path / "input") if "snnl" in e] == [0, 2, 4]
    off = records(tmp_path / "off", "none", geometry=False)
    assert not any("geometry" in e for e in off)
    assert [e["epoch"] for e in off if "snnl" in e] == [0, 2, 4]


def test_watched_geometry_is_that_of_the_weights_on_the_watched_batch(tmp_path: Path) -> None:
    last = records(tmp_path / "one", "none")[-1]
    data = load(FEW)
    net = fresh_net("mlp", data, 0)
    net.load_state_dict(load_file(tmp_path / "one/weights.safetensors"))
    batch, normalise = watch_batch(data), Normalise.of(data.train)
    for point, x in lm.activations(net, normalise(batch.images), list(last["geometry"])).items():
        found = last["geometry"][point]
        assert set(found) == set(QUANTITIES)
        layer = Layer(x, batch.labels)
        for name, measure in MEASURES.items():
            assert found[name] == pytest.approx(measure.compute(layer), rel=1e-3, abs=1e-6)
    assert last["geometry"]["final"]["gap"] < 1e-6


def test_auto_mixes_where_the_classes_were_found_apart(tmp_path: Path) -> None:
    for record in records(tmp_path / "auto", "auto"):
        if "snnl" in record:
            apart = {p: max(0, 1 - v["value"] / v["chance"]) for p, v in record["snnl"].items()}
            shares = {p: v / sum(apart.values()) for p, v in apart.items()}
            assert record["weights"] == pytest.approx(shares, abs=1e-9)
    assert not any("weights" in e for e in records(tmp_path / "equal", "auto", adapt=False))
    assert not any("weights" in e for e in records(tmp_path / "random", "random"))


def test_auto_draws_by_the_weights_it_records() -> None:
    data = load(FEW)
    points = ("input", "block3", "final")
    own = Trainer(fresh_net("mlp", data, 0), data, SHORT, points, points, 0, adapt=True)
    assert own.mixer is not None
    assert own.measure()["weights"] == pytest.approx(dict(own.mixer.weights), abs=1e-9)
    own.run_epoch(1)
    assert own.measure()["weights"] == pytest.approx(dict(own.mixer.weights), abs=1e-9)
    assert len(own.mixer.choices) == 3
