"""Gradients of compiled models equal those of eager models, at every mix point.

Gradients differ by at most 1e-5 in float32 and 1e-10 in float64, or eight times the error of eager
gradients, found by float64, where this is larger; in bfloat16,
twice this error, and at least 0.01.

The gradient of a maximum is not continuous: rounding may change which of two nearly equal values is
the largest. In float32 and bfloat16, this happens in some steps, so that these limits hold in most
steps, and wider ones in all of them. A wrong gradient would be wrong in every step.
"""

import shutil
import statistics

import pytest
import torch
from torch import nn

from benchmarks.compiled import compared
from layermix.lab.data.modality import map_arguments
from layermix.lab.models import build

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("fresh_compiler"),
    pytest.mark.skipif(shutil.which("c++") is None, reason="inductor needs a C++ compiler"),
]

POINTS = {
    "resnet-small": ("input", "block1", "block2", "block3", "final", "logits"),
    "vit-small": ("input", "block1", "block2", "block3", "final", "logits"),
    "speed": ("input", "block1", "block2", "block3", "final", "logits"),
}
CASES = [(net, at) for net, points in POINTS.items() for at in (None, *points)]
SHAPES = {"resnet-small": (16, 3, 16, 16), "vit-small": (16, 3, 16, 16), "speed": (16, 3, 32, 32)}
STEPS = 5


def fresh_net(name: str) -> nn.Module:
    torch.manual_seed(0)
    net = build(name, 10, map_arguments(SHAPES[name][1:]))
    for module in net.modules():  # dropout draws other masks in a compiled graph
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    return net


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")  # dynamo
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize(("name", "at"), CASES)
def test_compiled_gradients_equal_eager_ones(name: str, at: str | None, dtype: torch.dtype) -> None:
    limits = {torch.float32: (1e-5, 8), torch.float64: (1e-10, 8), torch.bfloat16: (0.01, 2)}
    least, times = limits[dtype]
    worst, largest = [], []
    for ours, theirs in compared(fresh_net(name), at, dtype, SHAPES[name], STEPS):
        worst.append(max(error / max(least, times * theirs[n]) for n, error in ours.items()))
        largest.append(max(ours.values()))
    assert statistics.median(worst) <= 1, (worst, largest)
    widest = {torch.float32: 0.05, torch.float64: 1e-10, torch.bfloat16: 0.6}
    assert max(largest) <= widest[dtype], (worst, largest)
