"""Four labels and their mixed targets, for comparisons with float64 formulas."""

import torch
from torch import Tensor

import layermix as lm

PARTNER = torch.tensor([2, 0, 3, 1])
LABELS = torch.tensor([0, 1, 2, 0])
WEIGHT = torch.tensor([5.0, 0.5, 0.0, 2.0])


def randn(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def target(labels: Tensor, ratio: float | Tensor = 0.3) -> lm.MixedTarget:
    made = lm.Plan("final", torch.as_tensor(ratio), PARTNER).target(labels)
    assert isinstance(made, lm.MixedTarget)
    return made
