"""Gradients of compiled models equal those of eager models, at every mix point.

The gradient of a maximum is not continuous: rounding may change which of two nearly equal values is
the largest. In float32 and bfloat16, this happens in some steps, so that a limit holds in most
steps, and a wider one in all of them. A wrong gradient would be wrong in every step.
"""

import copy
import shutil
import statistics
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import layermix as lm
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
SHAPE, CLASSES, BATCH, STEPS = (3, 16, 16), 5, 16, 5


def fresh_net(name: str) -> nn.Module:
    torch.manual_seed(0)
    net = build(name, CLASSES, map_arguments(SHAPE))
    for module in net.modules():  # dropout draws other masks in a compiled graph
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    return net


class Run:
    """A model with a mixer, compiled or not, in one precision."""

    def __init__(self, net: nn.Module, at: str | None, dtype: torch.dtype, compiled: bool) -> None:
        self.half = dtype == torch.bfloat16
        self.net = copy.deepcopy(net).to(torch.float32 if self.half else dtype)
        self.mixer = lm.Mixer(self.net, at, seed=0) if at else None
        self.model: Any = torch.compile(self.net) if compiled else self.net

    def gradients(self, x: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Return the loss and all gradients, float64."""
        x = x.to(next(self.net.parameters()).dtype)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.half):
            if self.mixer:
                output, target = self.mixer(x, labels, self.model)
            else:
                output, target = self.model(x), lm.MixedTarget.clean(labels)
            loss = target.loss(output)
        self.net.zero_grad()
        loss.backward()
        named = self.net.named_parameters()
        found = {name: p.grad.double() for name, p in named if p.grad is not None}
        return {"loss": loss.detach().double(), **found}


def differences(one: dict[str, Tensor], other: dict[str, Tensor]) -> dict[str, float]:
    """Return the differences, relative to the norm in `one`."""
    assert one.keys() == other.keys()
    return {n: float((one[n] - other[n]).norm() / one[n].norm().clamp_min(1e-9)) for n in one}


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")  # dynamo
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize(("name", "at"), CASES)
def test_compiled_gradients_equal_eager_ones(name: str, at: str | None, dtype: torch.dtype) -> None:
    net = fresh_net(name)
    eager, compiled = (Run(net, at, dtype, how) for how in (False, True))
    exact = Run(net, at, torch.float64, False)
    optimizer = torch.optim.SGD([p for p in eager.net.parameters() if p.requires_grad], 0.01)
    generator, worst = torch.Generator().manual_seed(1), []
    for _ in range(STEPS):
        for run in (compiled, exact):
            run.net.load_state_dict(eager.net.state_dict())
        x, labels = torch.randn(BATCH, *SHAPE, generator=generator), torch.arange(BATCH) % CLASSES
        right = eager.gradients(x, labels)
        found, true = compiled.gradients(x, labels), exact.gradients(x, labels)
        if dtype == torch.bfloat16:  # relative to the error of eager gradients, which is large
            ours, theirs = differences(true, found), differences(true, right)
            worst.append(max(error / (0.01 + theirs[each]) for each, error in ours.items()))
        else:
            worst.append(max(differences(right, found).values()))
        optimizer.step()
    limits = {torch.float32: (1e-5, 0.05), torch.float64: (1e-10, 1e-10), torch.bfloat16: (2, 4)}
    assert statistics.median(worst) <= limits[dtype][0], worst
    assert max(worst) <= limits[dtype][1], worst
