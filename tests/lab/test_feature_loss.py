"""Tests of the feature loss: the SNNL of a layer, with the label of the larger weight."""

from pathlib import Path

import pytest
import torch

import layermix as lm
from layermix.lab import DataConfig, Recipe, RunConfig, run
from layermix.lab.data import load
from layermix.lab.data.modalities.images import Normalize
from layermix.lab.run_setup import fresh_model
from layermix.lab.store import read_result
from layermix.lab.training.monitor import FeatureLoss
from short_training import FEW, records


@pytest.mark.parametrize(
    ("mixed_at", "mixed"), [(None, False), ("block3", False), ("block1", True)]
)
def test_feature_loss_equals_snnl_with_labels_of_the_heavier_parent(
    mixed_at: str | None, mixed: bool
) -> None:
    torch.manual_seed(0)
    data = load(FEW)
    net = fresh_model("mlp", data, 0)
    x, y = Normalize.of(data.train.inputs)(data.train.inputs[:20]), data.train.labels[:20]
    recipe = Recipe(snnl_weight=-0.5, snnl_at="block2")
    loss = FeatureLoss(net, recipe, x[:3], ("input", "block1", "block3"))
    plan = lm.Plan("block1", torch.tensor(0.2), torch.randperm(20))
    if mixed:
        mixer = lm.Mixer(net, "block1")
        with mixer.apply(plan):
            net(x)
    else:
        net(x)
    found = loss(y, plan.target(y), mixed_at)
    h = net.block1(net.flatten(x))  # pyright: ignore[reportCallIssue]
    h = lm.mix(h, plan) if mixed else h
    features = net.block2(h)  # pyright: ignore[reportCallIssue]
    labels = y[plan.partner] if mixed else y
    expected = -0.5 * lm.SoftNearestNeighborLoss()(features, labels)
    assert found.item() == pytest.approx(expected.item(), rel=1e-4)
    assert torch.autograd.grad(found, net.block1[0].weight)[0].abs().sum() > 0  # pyright: ignore


@pytest.mark.parametrize("variant", ["none", "input", "random"])
def test_positive_snnl_weight_gives_lower_snnl_than_negative(tmp_path: Path, variant: str) -> None:
    value = {}
    for weight in (-0.3, 0.3):
        recipe = Recipe(epochs=8, monitor=1, snnl_weight=weight, snnl_at="block2")
        run(RunConfig(DataConfig(), "mlp", recipe, variant, 0), tmp_path / f"{weight}")
        value[weight] = read_result(tmp_path / f"{weight}").records[-1]["snnl"]["block2"]["value"]
    assert value[0.3] < value[-0.3] - 0.03


def test_feature_loss_at_an_unknown_point_raises(tmp_path: Path) -> None:
    with pytest.raises(lm.InputError, match="unknown mix point 'blok2': did you mean 'block2'"):
        records(tmp_path / "one", "none", snnl_weight=1.0, snnl_at="blok2")
