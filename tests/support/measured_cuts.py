"""Small network with outputs of any type, and the fractions that bypass its layers."""

from typing import Any

import torch
from torch import Tensor, nn

import layermix as lm

X, Y = torch.randn(6, 5), torch.arange(6) % 3


class Net(nn.Module):
    """Trunk followed by two layers. Subclasses return different outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(5, 8), nn.ReLU())
        self.head, self.side = nn.Linear(8, 3), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Any:
        return self.outputs(self.trunk(x))

    def outputs(self, h: Tensor) -> Any:
        raise NotImplementedError


def cuts(net: nn.Module, x: Any = X) -> dict[str, float | None]:
    return {row.name: row.cut for row in lm.points(net, x, all=True)}
