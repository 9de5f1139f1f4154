"""Tests that stored logits reproduce the metrics of a run, as trained and with clean norms."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch.optim.swa_utils import update_bn

from layermix.lab import DataConfig, Recipe, RunConfig, RunResult, run
from layermix.lab.data import load
from layermix.lab.data.modalities.images import Normalize
from layermix.lab.run_setup import fresh_model
from layermix.lab.store import read_logits
from layermix.lab.training.metrics import evaluate

DATA = DataConfig(train_size=60)
RECIPE = Recipe(epochs=2, batch_size=20, monitor=1, channels_last=False)


def trained(folder: Path, model: str, **settings) -> RunResult:
    recipe = Recipe(**{**vars(RECIPE), **settings})
    return run(RunConfig(DATA, model, recipe, "input", 0), folder)


def test_stored_logits_give_the_metrics_of_the_run(tmp_path: Path) -> None:
    result = trained(tmp_path / "run", "mlp")
    found = read_logits(tmp_path / "run")
    labels = {name: found[f"{name}.labels"].long() for name in ("val", "test")}
    as_trained = {"test": result.test, "val": result.val}
    for kind, expected in (("logits", as_trained), ("clean", result.clean)):
        logits = {name: found[f"{name}.{kind}"] for name in ("val", "test")}
        assert logits["test"].dtype == torch.float16
        assert expected is not None
        for name, values in evaluate(logits, labels).items():
            assert values == pytest.approx(expected[name])


def test_clean_logits_have_the_statistics_of_unmixed_training_images(tmp_path: Path) -> None:
    trained(tmp_path / "run", "mlp")
    data = load(DATA, 0)
    model, normalize = fresh_model("mlp", data, 0), Normalize.of(data.train.inputs)
    model.load_state_dict(load_file(tmp_path / "run" / "weights.safetensors"))
    batches = normalize(data.train.inputs).tensor_split(3)
    update_bn(batches, model)  # in another order, but of the same images
    with torch.no_grad():
        expected = model.eval()(normalize(data.test.inputs))
    found = read_logits(tmp_path / "run")
    clean = found["test.clean"] + found["test.clean_max"][:, None]
    as_trained = found["test.logits"] + found["test.max"][:, None]
    difference = (clean - expected).abs().mean()
    assert difference < 0.1 * (as_trained - expected).abs().mean() + 0.05


def test_weights_keep_the_statistics_of_training(tmp_path: Path) -> None:
    trained(tmp_path / "run", "mlp")
    data = load(DATA, 0)
    model, normalize = fresh_model("mlp", data, 0), Normalize.of(data.train.inputs)
    model.load_state_dict(load_file(tmp_path / "run" / "weights.safetensors"))
    with torch.no_grad():
        expected = model.eval()(normalize(data.test.inputs))
    found = read_logits(tmp_path / "run")
    restored = found["test.logits"] + found["test.max"][:, None]
    assert torch.allclose(restored, expected, atol=1e-2)


@pytest.mark.parametrize("model", ["mlp-ln", "vit-small", "resnet-small-gn"])
def test_models_without_batch_norm_have_no_clean_metrics(model: str, tmp_path: Path) -> None:
    assert trained(tmp_path / "run", model, epochs=1, geometry=False).clean is None
    assert "test.clean" not in read_logits(tmp_path / "run")


def test_clean_statistics_in_training_change_the_statistics_alone(tmp_path: Path) -> None:
    one, other = (trained(tmp_path / kind, "mlp", norm_stats=kind) for kind in ("mixed", "clean"))
    weights = [load_file(tmp_path / kind / "weights.safetensors") for kind in ("mixed", "clean")]
    for name, value in weights[0].items():
        changes = "running_" in name or "tracked" in name
        assert torch.equal(value, weights[1][name]) != changes, name
    assert one.clean == other.clean
    assert one.test != other.test
