"""Tests of the update of weights: equal to PyTorch's plain optimizers, and to autocast alone."""

from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from layermix.lab import Recipe
from layermix.lab.data import load
from layermix.lab.training.loop import Trainer
from layermix.lab.training.optimization import Optimization
from short_training import FEW, SHORT

RECIPE = Recipe(lr=0.05, weight_decay=0.01, bias_lr=4.0, warmup=0.0)
X, LABELS = torch.randn(8, 3, 6, 6), torch.arange(8) % 4


class Net(nn.Module):
    """A convolution, a norm, a linear layer that is used twice, and one that nothing uses."""

    def __init__(self) -> None:
        super().__init__()
        self.frozen = nn.Conv2d(3, 4, 1).requires_grad_(False)
        self.conv, self.norm = nn.Conv2d(4, 6, 3, bias=False), nn.BatchNorm2d(6)
        self.twice, self.head = nn.Linear(6, 6), nn.Linear(6, 4)
        self.unused = nn.Linear(2, 2)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (B, 3, H, W) to logits (B, 4)."""
        x = F.relu(self.norm(self.conv(self.frozen(x)))).mean((2, 3))
        return self.head(self.twice(F.relu(self.twice(x))))


def fresh() -> Net:
    torch.manual_seed(0)
    return Net().to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]


def loss_of(net: nn.Module, half: bool) -> Tensor:
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        return F.cross_entropy(net(X), LABELS)


def assert_equal_weights(one: nn.Module, other: nn.Module, atol: float = 0.0) -> None:
    for ours, theirs in zip(one.state_dict().values(), other.state_dict().values(), strict=True):
        assert ours.dtype == theirs.dtype
        torch.testing.assert_close(ours, theirs, rtol=0, atol=atol)


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_updates_equal_those_of_separate_operations(name: str) -> None:
    ours, plain = fresh().double(), fresh().double()
    recipe = RECIPE.resolved(name)  # pyright: ignore[reportArgumentType]
    optimization = Optimization(ours, recipe, 9)
    biases = [plain.norm.bias]
    others = [p for p in plain.parameters() if p.requires_grad and p is not plain.norm.bias]
    groups = [{"params": others, "base": 0.05, "weight_decay": 0.01}]
    groups += [{"params": biases, "base": 0.2, "weight_decay": 0.0025}]
    kind: Any = torch.optim.SGD if name == "sgd" else torch.optim.AdamW
    settings = {"momentum": 0.9, "nesterov": True} if name == "sgd" else {}
    optimizer = kind(groups, lr=1.0, foreach=False, fused=False, **settings)
    for step in range(9):
        for group in optimizer.param_groups:
            group["lr"] = group["base"] * (1 - step / 9)
        assert optimization.lr == optimizer.param_groups[0]["lr"]
        for net in (ours, plain):
            net.zero_grad()
        optimization.minimize(F.cross_entropy(ours(X.double()), LABELS))
        F.cross_entropy(plain(X.double()), LABELS).backward()
        optimizer.step()
    assert_equal_weights(ours, plain, atol=1e-12)


@pytest.mark.parametrize("lookahead", [False, True])
def test_half_weights_equal_autocast_alone(lookahead: bool) -> None:
    recipe = Recipe(lr=0.05, weight_decay=0.01, lookahead=lookahead)
    nets = fresh(), fresh()
    ours = Optimization(nets[0], recipe, 12, half=True)
    theirs = Optimization(nets[1], recipe, 12)
    for step in range(12):
        if step == 6:  # as between two epochs
            assert_equal_weights(*nets)
        with ours.training():
            assert nets[0].conv.weight.dtype == torch.bfloat16
            assert nets[0].norm.weight.dtype == torch.float32
            ours.minimize(loss_of(nets[0], True))
        theirs.minimize(loss_of(nets[1], True))
    assert_equal_weights(*nets)
    assert nets[0].conv.weight.is_contiguous(memory_format=torch.channels_last)


def test_steps_outside_training_update_the_weights_too() -> None:
    nets = fresh(), fresh()
    for net, half in zip(nets, (True, False), strict=True):
        Optimization(net, RECIPE, 3, half=half).minimize(loss_of(net, False))
    assert_equal_weights(*nets)


def test_weights_are_float32_again_after_an_error() -> None:
    net = fresh()
    optimization, before = Optimization(net, RECIPE, 3, half=True), net.conv.weight.clone()
    with pytest.raises(KeyError), optimization.training():
        raise KeyError
    assert torch.equal(net.conv.weight, before)


def test_weights_that_other_modules_share_are_left_to_autocast() -> None:
    net = nn.Sequential(nn.Embedding(5, 5), nn.Linear(5, 5, bias=False))
    net[1].weight = net[0].weight  # pyright: ignore[reportArgumentType]
    optimization = Optimization(net, RECIPE, 3, half=True)
    with optimization.training():
        assert net[0].weight.dtype == torch.float32
        with torch.autocast("cpu", torch.bfloat16):
            optimization.minimize(net(torch.arange(5)).square().mean())


def test_sparse_gradients_are_supported() -> None:
    net = nn.Sequential(nn.Embedding(5, 3, sparse=True), nn.Linear(3, 2))
    before = [weight.detach().clone() for weight in net.parameters()]
    recipe = Recipe(lr=0.1, weight_decay=0.0)
    Optimization(net, recipe, 3).minimize(net(torch.arange(3)).square().mean())
    for old, new in zip(before, net.parameters(), strict=True):
        assert not torch.equal(old, new)


class Late(nn.Module):
    """A model whose second layer is used from the third call on."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.calls = nn.Linear(3, 3), nn.Linear(3, 3), 0

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, 3) to (B, 3)."""
        self.calls += 1
        x = self.first(x)
        return self.second(x) if self.calls > 2 else x


@pytest.mark.parametrize("half", [False, True])
def test_weights_may_get_their_first_gradients_later(half: bool) -> None:
    nets, x = [], torch.randn(4, 3)
    for fused in (True, False):
        torch.manual_seed(0)
        net = Late()
        nets.append(net)
        settings: Any = {"momentum": 0.9, "nesterov": True, "weight_decay": 0.01}
        plain = torch.optim.SGD(net.parameters(), 1.0, foreach=False, **settings)
        ours = Optimization(net, Recipe(lr=0.05, weight_decay=0.01), 5, half=half)
        for step in range(5):
            with ours.training() if fused else nullcontext():
                with torch.autocast("cpu", torch.bfloat16, enabled=half):
                    loss = net(x).float().square().mean()
                if fused:
                    ours.minimize(loss)
                else:
                    plain.param_groups[0]["lr"] = 0.05 * ours_factor(step)
                    plain.zero_grad()
                    loss.backward()
                    plain.step()
    assert_equal_weights(*nets, atol=1e-7)


def ours_factor(step: int) -> float:
    return Recipe().lr_factor(step, 5)


class Cosine(nn.Module):
    """A head that normalizes its weights, outside of the linear layer that has them."""

    def __init__(self, exact: bool) -> None:
        super().__init__()
        self.features, self.head, self.exact = nn.Linear(64, 16), nn.Linear(16, 10), exact

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, ...) to logits (B, 10)."""
        x = self.features(x.flatten(1))
        if self.exact:
            with torch.autocast("cpu", enabled=False):
                return self.head(x.float())
        return F.linear(x, F.normalize(self.head.weight.square().cumsum(1)))


@pytest.mark.parametrize("exact", [False, True])
def test_weights_that_need_float32_are_left_to_autocast(exact: bool) -> None:
    found, data = [], load(FEW)
    for half in (True, False):
        torch.manual_seed(0)
        net = Cosine(exact)
        recipe = replace(SHORT, bfloat16=True, lr=0.05, weight_decay=0.0)
        own = Trainer(net, data, recipe, ("input",))
        if not half:
            own.optimization.use_autocast()
        own.run_epoch(1)
        own.run_epoch(2)
        assert own.optimization.half_weights is None
        found.append(net)
    assert_equal_weights(*found)


def test_weights_of_a_normalized_layer_are_left_to_autocast() -> None:
    net = nn.Sequential(nn.utils.spectral_norm(nn.Linear(4, 4)), nn.Linear(4, 2))
    optimization = Optimization(net, RECIPE, 3, half=True)
    with optimization.training(), torch.autocast("cpu", torch.bfloat16):
        assert net[1].weight.dtype == torch.bfloat16
        optimization.minimize(net(torch.randn(3, 4)).square().mean())
