"""Tests of training: comparison with a plain loop, separate generators, and diverging losses."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import nn

import layermix as lm
from layermix.lab import DataConfig, Recipe, RunConfig, run
from layermix.lab.data import load
from layermix.lab.run_setup import fresh_model
from layermix.lab.store import read_result
from layermix.lab.training.batches import crop_and_flip
from layermix.lab.training.environment import RunSeeds
from layermix.lab.training.loop import Trainer
from layermix.lab.training.metrics import metrics
from short_training import FEW, SHORT, trainer


def test_training_equals_a_plain_pytorch_loop() -> None:
    own = trainer(("block1",))
    own.run_epoch(1)

    data = load(FEW)
    net = fresh_model("mlp", data, 0)
    streams = RunSeeds.of(0)
    mixer = lm.Mixer(net, "block1", seed=streams.mix)
    optimizer = torch.optim.SGD(net.parameters(), 0.1, 0.9, weight_decay=2e-3, nesterov=True)
    augment = torch.Generator().manual_seed(streams.augment)
    order = np.random.default_rng(streams.order).permutation(60)
    shifts = torch.randint(-1, 2, (2, 60), generator=augment).split(20, 1)
    for step, index in enumerate(torch.from_numpy(order).split(20)):
        for group in optimizer.param_groups:
            group["lr"] = 0.1 * SHORT.lr_factor(step, 6)
        images = crop_and_flip(data.train.inputs[index], shifts[step], None)
        output, target = mixer(data.preprocess(images), data.train.labels[index])
        optimizer.zero_grad()
        target.loss(output).backward()
        optimizer.step()
    for ours, plain in zip(own.raw_model.parameters(), net.parameters(), strict=True):
        torch.testing.assert_close(ours, plain, rtol=0, atol=1e-7)


def test_variants_of_a_seed_share_initialization_and_batches() -> None:
    plain, mixed = trainer(), trainer(("input",))
    for ours, theirs in zip(
        plain.raw_model.parameters(), mixed.raw_model.parameters(), strict=True
    ):
        assert torch.equal(ours, theirs)
    plain.run_epoch(1)
    mixed.run_epoch(1)
    for ours, theirs in zip(plain.batches.epoch(2), mixed.batches.epoch(2), strict=True):
        assert torch.equal(ours[0], theirs[0])
        assert torch.equal(ours[1], theirs[1])


def test_different_seeds_change_batches_and_initialization() -> None:
    ours, theirs = trainer(seed=0), trainer(seed=1)
    (one, _), (other, _) = (next(each.batches.epoch(1)) for each in (ours, theirs))
    assert not torch.equal(one, other)
    assert not torch.equal(next(ours.raw_model.parameters()), next(theirs.raw_model.parameters()))


def test_training_does_not_change_the_global_generator() -> None:
    own = trainer(("final",))
    before = torch.get_rng_state()
    own.run_epoch(1)
    assert torch.equal(torch.get_rng_state(), before)


def test_training_reaches_high_accuracy_on_digits() -> None:
    recipe = Recipe(epochs=10, monitor=1, crop=0, flip=False)
    data = load(DataConfig())
    own = Trainer(fresh_model("mlp", data, 0), data, recipe, monitor_at=("block3",))
    assert own.train().test["accuracy"] > 0.85


def test_label_smoothing_is_applied_in_the_loss() -> None:
    smooth = trainer(recipe=Recipe(epochs=1, batch_size=60, label_smoothing=0.1))
    ((x, labels),) = smooth.batches.epoch(1)
    expected = F.cross_entropy(smooth.raw_model(x), labels, label_smoothing=0.1)
    assert torch.allclose(smooth.run_step(x, labels)[0], expected)


def test_diverging_loss_raises_with_the_step() -> None:
    own = trainer(recipe=Recipe(epochs=3, batch_size=20, lr=1e30, warmup=0.0))
    with pytest.raises(lm.RunError, match=r"the loss became \w+ at step 2 of 9: try a lower --lr"):
        own.train()


class NaNModel(nn.Module):
    """Model that outputs NaN in training mode."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.fc = nn.Linear(64, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(x.flatten(1)) * (torch.nan if self.training else 1.0)


def test_nan_output_raises_at_the_first_step(tmp_path: Path) -> None:
    config = RunConfig(FEW, f"{__name__}:NaNModel", SHORT, "none", 0)
    with pytest.raises(lm.RunError, match="the loss became nan at step 1 of 6"):
        run(config, tmp_path / "run")
    assert [path.name for path in tmp_path.iterdir()] == ["run-unfinished"]
    assert (tmp_path / "run-unfinished/epochs.jsonl").read_text().startswith('{"epoch": 0')


def test_run_writes_records_metrics_and_weights(tmp_path: Path) -> None:
    config = RunConfig(FEW, "mlp", SHORT, "random", 3)
    result = run(config, tmp_path / "run", keep_features=True)
    files = sorted(path.name for path in (tmp_path / "run").iterdir())
    assert files == [
        "config.json",
        "epochs.jsonl",
        "features.safetensors",
        "log.txt",
        "logits.safetensors",
        "manifest.json",
        "result.json",
        "weights.safetensors",
    ]
    assert [record["epoch"] for record in result.records] == [0, 1, 2]
    assert read_result(tmp_path / "run") == result

    data = load(FEW, seed=3)
    net = fresh_model("mlp", data, seed=7)
    net.load_state_dict(load_file(tmp_path / "run/weights.safetensors"))
    logits = net.eval()(data.preprocess(data.test.inputs)).detach()
    assert metrics(logits, data.test.labels)["accuracy"] == result.test["accuracy"]


def test_run_rejects_an_existing_folder(tmp_path: Path) -> None:
    with pytest.raises(lm.InputError, match="exists already: use another --out"):
        run(RunConfig(FEW, "mlp", SHORT, "none", 0), tmp_path)


def test_metrics_equal_their_formulas() -> None:
    probabilities = torch.tensor([[0.7, 0.3], [0.4, 0.6], [0.9, 0.1]], dtype=torch.float64)
    found = metrics(probabilities.log(), torch.tensor([0, 0, 0]))
    assert found["accuracy"] == pytest.approx(2 / 3)
    assert found["nll"] == pytest.approx(-torch.tensor([0.7, 0.4, 0.9]).log().mean().item())
    assert found["brier"] == pytest.approx((2 * 0.3**2 + 2 * 0.6**2 + 2 * 0.1**2) / 3)
    assert found["ece"] == pytest.approx((0.3 + 0.6 + 0.1) / 3)


@pytest.mark.skipif(shutil.which("c++") is None, reason="inductor needs a C++ compiler")
def test_compiled_runs_in_one_process_do_not_share_graphs() -> None:
    recipe = replace(SHORT, epochs=1, batch_size=30, compile=True)
    losses = {}
    for variant in ((), ("final",), ()):
        own, plain = trainer(variant, recipe), trainer(variant, replace(recipe, compile=False))
        losses[variant] = own.run_epoch(1)["train_loss"]
        assert losses[variant] == pytest.approx(plain.run_epoch(1)["train_loss"], rel=1e-4)
    assert len(set(losses.values())) == 2
