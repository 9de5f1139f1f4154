"""Gradients of compiled models equal those of eager models, at every mix point.

The gradient of a maximum is not continuous: rounding may change which of two nearly equal values is
the largest. In float32 and bfloat16, this happens in some steps, so that a limit holds in most
steps, and a wider one in all of them. A wrong gradient would be wrong in every step.
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
SHAPE, STEPS = (16, 3, 16, 16), 5


def fresh_net(name: str) -> nn.Module:
    torch.manual_seed(0)
    net = build(name, 10, map_arguments(SHAPE[1:]))
    for module in net.modules():  # dropout draws other masks in a compiled graph
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    return net


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")  # dynamo
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize(("name", "at"), CASES)
def test_compiled_gradients_equal_eager_ones(name: str, at: str | None, dtype: torch.dtype) -> None:
    worst = []
    for ours, theirs in compared(fresh_net(name), at, dtype, SHAPE, STEPS):
        if dtype == torch.bfloat16:  # relative to the error of eager gradients, which is large
            worst.append(max(error / (0.01 + theirs[each]) for each, error in ours.items()))
        else:
            worst.append(max(ours.values()))
    limits = {torch.float32: (1e-5, 0.05), torch.float64: (1e-10, 1e-10), torch.bfloat16: (2, 4)}
    assert statistics.median(worst) <= limits[dtype][0], worst
    assert max(worst) <= limits[dtype][1], worst
