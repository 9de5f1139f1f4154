"""Network with activation checkpointing by stage, and its gradients."""

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

import layermix as lm

REENTRANT = pytest.mark.parametrize("reentrant", [True, False])


class Net(nn.Module):
    """Stem, two stages of two blocks with layer norm, and a head. Stages can be checkpointed."""

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        self.stem = nn.Linear(4, 8)
        self.stages = nn.Sequential(*(self.stage(dropout) for _ in range(2)))
        self.fc = nn.Linear(8, 5)
        self.reentrant: bool | None = None  # None: not checkpointed

    @staticmethod
    def stage(dropout: float) -> nn.Sequential:
        return nn.Sequential(
            nn.Sequential(nn.Linear(8, 8), nn.LayerNorm(8), nn.Tanh(), nn.Dropout(dropout)),
            nn.Sequential(nn.Linear(8, 8), nn.LayerNorm(8), nn.Tanh(), nn.Dropout(dropout)),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        if self.reentrant is None:
            return self.fc(self.stages(x))
        for stage in self.stages:
            x = checkpoint(stage, x, use_reentrant=self.reentrant)  # pyright: ignore[reportAssignmentType]
        return self.fc(x)


def pair(reentrant: bool, dropout: float = 0.0) -> tuple[Net, Net]:
    """Return a plain and a checkpointed net with the same weights."""
    plain = Net(dropout).double()
    checkpointed = copy.deepcopy(plain)
    checkpointed.reentrant = reentrant
    return plain, checkpointed


def gradients(net: nn.Module, loss: Tensor) -> list[Tensor]:
    net.zero_grad()
    loss.backward()
    return [p.grad.clone() for p in net.parameters() if p.grad is not None]


def mixed_gradients(net: nn.Module, mixer: lm.Mixer, x: Tensor, y: Tensor) -> list[Tensor]:
    """Return the gradients of one step. The backward pass runs after the mixed forward pass."""
    torch.manual_seed(7)  # the same dropout
    output, target = mixer(x, y)
    return gradients(net, target.loss(output))


def assert_same(one: list[Tensor], other: list[Tensor]) -> None:
    assert len(one) == len(other) > 0
    for mine, theirs in zip(one, other, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-12)
