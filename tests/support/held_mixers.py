"""Small model, and objects that contain a model together with its mixer."""

from typing import Any

import torch
from torch import Tensor, nn

import layermix as lm

X, Y = torch.randn(6, 5), torch.arange(6) % 3


def model() -> nn.Sequential:
    return nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))


def hooks(net: nn.Module) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in net.modules())


class Learner:
    """Object with a model and its mixer, like a trainer or a federated client."""

    def __init__(self) -> None:
        self.net = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 3))
        self.mixer = lm.Mixer(self.net, at="final", ratio=0.0, partner="derangement")

    def step(self) -> tuple[Tensor, Any]:
        return self.mixer(X, Y)


class Module(nn.Module):
    """Module that contains a mixer of itself."""

    def __init__(self) -> None:
        super().__init__()
        self.f, self.fc = nn.Linear(5, 8), nn.Linear(8, 3)
        self.mixer = lm.Mixer(self, at="final", ratio=0.0, partner="derangement")

    @property
    def net(self) -> nn.Module:
        return self

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.f(x).relu())

    def step(self) -> tuple[Tensor, Any]:
        return self.mixer(X, Y)
