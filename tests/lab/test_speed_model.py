"""Tests of the model of the speed preset: whitened first layer, learning rate of biases."""

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from layermix.lab import DataConfig, Recipe
from layermix.lab.data import load
from layermix.lab.data.modality import map_arguments
from layermix.lab.models import build
from layermix.lab.models.networks import SpeedNet
from layermix.lab.run_setup import fresh_model
from layermix.lab.training.loop import Trainer


def test_first_layer_whitens_the_training_patches() -> None:
    base = torch.randn(200, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    images = F.avg_pool2d(base, 3, 1, 1) + 0.3 * base  # neighboring pixels are correlated
    net = SpeedNet(10)
    net.initialize_from(images)
    seen = F.conv2d(images, net.whiten.weight)[:, :12].transpose(0, 1).flatten(1)
    second = (seen @ seen.T / seen.shape[1]).detach()
    torch.testing.assert_close(second, torch.eye(12), atol=0.05, rtol=0)
    torch.testing.assert_close(net.whiten.weight[12:], -net.whiten.weight[:12])


def test_first_layer_is_set_from_the_data_and_frozen() -> None:
    data = load(DataConfig(train_size=60))
    net: Any = fresh_model("speed", data, 0)
    before, other = net.whiten.weight.clone(), fresh_model("speed", data, 1)
    assert torch.equal(before, other.get_parameter("whiten.weight"))
    recipe = Recipe(epochs=1, batch_size=20, monitor=1, crop=0, flip=False)
    trainer = Trainer(net, data, recipe, monitor_at=("final",))
    trainer.run_epoch(1)
    assert torch.equal(net.whiten.weight, before)
    assert torch.equal(net.block1.norm1.weight, torch.ones(64))
    assert not torch.equal(net.block1.norm1.bias, torch.zeros(64))


def test_speednet_has_the_documented_number_of_parameters() -> None:
    count = sum(p.numel() for p in build("speed", 10, map_arguments((3, 32, 32))).parameters())
    assert f"{count:,} parameters" in str(SpeedNet.__doc__)


def test_biases_of_norms_use_bias_lr_and_the_same_decay() -> None:
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.BatchNorm1d(4, affine=False))
    groups = Recipe(lr=0.5, bias_lr=8.0, weight_decay=0.1).build_optimizer(net).param_groups
    assert [len(group["params"]) for group in groups] == [3, 1]
    assert groups[1]["params"][0] is net[1].bias
    assert [group["lr"] for group in groups] == [0.5, 4.0]
    assert [group["lr"] * group["weight_decay"] for group in groups] == pytest.approx([0.05] * 2)
