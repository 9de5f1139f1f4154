"""Gradients of compiled models, compared with those of the models themselves.

A model is trained for a few steps by SGD. In each, the weights are copied to a compiled model and
to one in float64, and all get the same batch and the same mix. In bfloat16, gradients of a model
itself are inaccurate, so that both are compared with float64. Rounding may also change which of two
nearly equal values is the maximum, for example in max pooling, whose gradient is not continuous.
This happens in some steps, so that the median is reported too. A wrong gradient would be wrong in
every step.

Shapes: B images (B, 3, 32, 32).
"""

import copy
import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.setting import Setting
from benchmarks.table import Row, Table
from layermix.hooks import Mixer
from layermix.lab.data.modality import map_arguments
from layermix.lab.models import build
from layermix.lab.training.environment import cpu_settings, torch_seed
from layermix.mixing import MixedTarget

_SHAPE, _CLASSES, _BATCH, _STEPS = (3, 32, 32), 10, 32, 3
_NETS, _POINTS = ("speed", "resnet-small"), (None, "input", "final")
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}

Gradients = dict[str, Tensor]


def bench_compiled(setting: Setting) -> Table:
    """Compare the gradients of each model at each mix point, in float32 and in bfloat16."""
    nets, points = (_NETS[1:], _POINTS[:1]) if setting.small else (_NETS, _POINTS)
    cases = [(name, at, which) for name in nets for which in _DTYPES for at in points]
    with cpu_settings(setting.threads), _without_tf32():
        rows = [_row(*case, setting) for case in cases]
    return Table(
        title=f"Gradients of compiled models against those of the models, {setting.device}",
        rows=rows,
        notes=[
            "median, worst: the largest difference of all parameters' gradients and of the loss, "
            f"relative to their norm, over {_STEPS} steps; in float32 from the model itself, in "
            "bfloat16 from float64. eager: the median for the model itself. TF32 is off.",
            f"{_BATCH} images of 3 x 32 x 32, {_CLASSES} classes; mixed for each batch.",
        ],
    )


@contextmanager
def _without_tf32() -> Iterator[None]:
    """Compute products and convolutions of float32 exactly inside the block."""
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before


class Run:
    """A model with a mixer, compiled or not, in one precision."""

    def __init__(self, net: nn.Module, at: str | None, dtype: torch.dtype, compiled: bool) -> None:
        self.half = dtype == torch.bfloat16
        self.net = copy.deepcopy(net).to(torch.float32 if self.half else dtype)
        self.mixer = Mixer(self.net, at, seed=0) if at else None
        self.model: Any = torch.compile(self.net) if compiled else self.net

    def gradients(self, x: Tensor, labels: Tensor) -> Gradients:
        """Return the loss and all gradients, float64, for a batch and the next plan."""
        x = x.to(next(self.net.parameters()).dtype)
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self.half):
            if self.mixer:
                output, target = self.mixer(x, labels, self.model)
            else:
                output, target = self.model(x), MixedTarget.clean(labels)
            loss = target.loss(output)
        self.net.zero_grad()
        loss.backward()
        named = self.net.named_parameters()
        found = {name: p.grad.double() for name, p in named if p.grad is not None}
        return {"loss": loss.detach().double(), **found}


def differences(one: Gradients, other: Gradients) -> dict[str, float]:
    """Return the differences by name, relative to the norm in `one`."""
    if one.keys() != other.keys():
        raise AssertionError(f"gradients of other parameters: {sorted(one.keys() ^ other.keys())}")
    return {n: float((one[n] - other[n]).norm() / one[n].norm().clamp_min(1e-9)) for n in one}


def compared(
    net: nn.Module, at: str | None, dtype: torch.dtype, shape: tuple[int, ...], steps: int
) -> list[tuple[dict[str, float], dict[str, float]]]:
    """Train for some steps; return the differences of compiled and of eager gradients in each.

    In float32 and float64, compiled gradients are compared with eager ones. In bfloat16, both are
    compared with gradients in float64. `shape` is that of the batch, (B, C, H, W).
    """
    eager, compiled = (Run(net, at, dtype, how) for how in (False, True))
    exact, device = Run(net, at, torch.float64, False), next(net.parameters()).device
    optimizer = torch.optim.SGD([p for p in eager.net.parameters() if p.requires_grad], 0.01)
    generator, found = torch.Generator().manual_seed(1), []
    for _ in range(steps):
        for run in (compiled, exact):
            run.net.load_state_dict(eager.net.state_dict())
        x = torch.randn(shape, generator=generator).to(device)
        labels = torch.arange(shape[0], device=device) % _CLASSES
        right, ours = eager.gradients(x, labels), compiled.gradients(x, labels)
        true = exact.gradients(x, labels)
        optimizer.step()
        reference = true if dtype == torch.bfloat16 else right
        found.append((differences(reference, ours), differences(true, right)))
    return found


def _row(name: str, at: str | None, which: str, setting: Setting) -> Row:
    torch.compiler.reset()
    with torch_seed(0):
        net = build(name, _CLASSES, map_arguments(_SHAPE)).to(setting.device)
    shape = (4 if setting.small else _BATCH, *_SHAPE)
    found = compared(net, at, _DTYPES[which], shape, 1 if setting.small else _STEPS)
    worst = [max(ours.values()) for ours, _ in found]
    eager = [max(theirs.values()) for _, theirs in found]
    return {
        "what": name,
        "at": at or "none",
        "dtype": which,
        "median": statistics.median(worst),
        "worst": max(worst),
        "eager": statistics.median(eager),
    }
