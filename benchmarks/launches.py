"""Operations that mixing adds to a training step: kernels to launch, transfers and waits.

On a GPU, each launched operation costs the CPU microseconds, whatever its size, and a wait stops
both. `torch.utils._python_dispatch.TorchDispatchMode` counts the operations that PyTorch dispatches
in the forward pass, the loss and the backward pass of a step; views and allocations are left out.
The same step is counted in plain PyTorch, with timm's Mixup, and with the usual expression of
mixup. Transfers and waits are counted with tensors on the meta device, which has no values, so that
code that waits for a value raises an error. The counts do not depend on the speed of the machine.

Shapes: B images (B, 3, 32, 32).
"""

import math
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.counting import Counting
from benchmarks.setting import Setting
from benchmarks.table import Row, Table
from layermix.functional import mix
from layermix.hooks import Mixer
from layermix.lab.data.modality import map_arguments
from layermix.lab.models import build
from layermix.lab.training.environment import cpu_settings, torch_seed
from layermix.mixing import PlanSampler

_SHAPE, _CLASSES, _BATCH = (3, 32, 32), 1000, 512
_STEPS = 2  # counted steps, all with the same launches
_DRAWN = 512  # steps in which transfers are counted; several plans are moved together
_POINTS = ("input", "block2", "final", "logits")
_PASSES = ("forward", "loss", "backward")
_BLENDS = {"linear": _POINTS, "cut": _POINTS[:2]}  # later points have no positions to cut

Counts = dict[tuple[str, str], float]
Step = Callable[[nn.Module, Tensor, Tensor], tuple[Tensor, Callable[[], Tensor]]]
"""Returns the output of the forward pass, and a function that returns the loss."""


def bench_launches(setting: Setting) -> Table:
    """Count the operations of a step at each mix point, and those of other implementations."""
    with cpu_settings(setting.threads):
        counts = {name: count_step(step, setting) for name, step in _steps().items()}
        moves = {blend: count_transfers(blend, setting) for blend in _BLENDS}
    plain = counts["plain PyTorch"]
    rows = [
        _row(name, found, plain, moves.get(name.partition(",")[0]))
        for name, found in counts.items()
    ]
    return Table(
        title=f"Operations of a training step that are launched, {setting.device}",
        rows=rows,
        notes=[
            "launches: dispatched operations of a step, without views and allocations, by pass; "
            "added: those beyond plain PyTorch. transfers, waits: between CPU and device, mean "
            f"over {_DRAWN} steps; not counted for the others.",
            f"resnet-small with {_CLASSES:,} classes, {_BATCH} images of 3 x 32 x 32, float32, "
            "alpha 1, no optimizer. On a CPU, tensors of up to 16,384 elements need more "
            "operations, because there they cost less than calls of Python.",
        ],
    )


def count_step(make: Callable[[nn.Module], Step], setting: Setting) -> Counts:
    """Return the mean number of operations of each kind in each pass of a step."""
    with torch_seed(0):
        model = build("resnet-small", _CLASSES, map_arguments(_SHAPE)).to(setting.device)
    size, steps = (4, 2) if setting.small else (_BATCH, _STEPS)
    x = torch.rand(size, *_SHAPE).to(setting.device)
    labels = (torch.arange(size) % _CLASSES).to(setting.device)
    step, counting = make(model), Counting()
    for _ in range(2):
        step(model, x, labels)[1]().backward()
    with counting:
        for _ in range(steps):
            counting.part = "forward"
            _, loss = step(model, x, labels)
            counting.part = "loss"
            value = loss()
            counting.part = "backward"
            value.backward()
            model.zero_grad(set_to_none=True)
    return {key: count / steps for key, count in counting.counts.items()}


def count_transfers(blend: str, setting: Setting) -> tuple[float, float]:
    """Return the transfers and the waits of a mixed step without a model, on the meta device."""
    steps = 4 if setting.small else _DRAWN
    x, labels = torch.empty(64, *_SHAPE, device="meta"), torch.zeros(64, dtype=torch.int64)
    logits = torch.empty(64, _CLASSES, device="meta", requires_grad=True)
    sampler, labels = PlanSampler(["input"], blend=blend, seed=0), labels.to("meta")
    with Counting() as counting:
        for _ in range(steps):
            plan = sampler.draw(len(x), "meta")
            _, target = mix(x, plan, labels)
            target.loss(logits).backward()
    found = {kind: n for (_, kind), n in counting.counts.items()}
    return found.get("transfers", 0) / steps, found.get("waits", 0) / steps


def _steps() -> dict[str, Callable[[nn.Module], Step]]:
    steps: dict[str, Callable[[nn.Module], Step]] = {"plain PyTorch": lambda model: _plain}
    steps |= {"by hand, input": lambda model: _by_hand, "timm, input": _timm}
    for blend, points in _BLENDS.items():
        for at in points:
            steps[f"{blend}, {at}"] = lambda model, at=at, blend=blend: _mixed(model, at, blend)
    return steps


def _plain(model: nn.Module, x: Tensor, labels: Tensor) -> tuple[Tensor, Callable[[], Tensor]]:
    output = model(x)
    return output, lambda: F.cross_entropy(output, labels)


def _by_hand(model: nn.Module, x: Tensor, labels: Tensor) -> tuple[Tensor, Callable[[], Tensor]]:
    ratio, partner = np.random.beta(1.0, 1.0), torch.randperm(len(x), device=x.device)
    output = model(ratio * x + (1 - ratio) * x[partner])
    partner_labels = labels[partner]

    def loss() -> Tensor:
        own = F.cross_entropy(output, labels)
        return ratio * own + (1 - ratio) * F.cross_entropy(output, partner_labels)

    return output, loss


def _timm(_: nn.Module) -> Step:
    from timm.data.mixup import Mixup
    from timm.loss.cross_entropy import SoftTargetCrossEntropy

    mixup = Mixup(mixup_alpha=1.0, label_smoothing=0.0, num_classes=_CLASSES)
    criterion = SoftTargetCrossEntropy()

    def step(model: nn.Module, x: Tensor, labels: Tensor) -> tuple[Tensor, Callable[[], Tensor]]:
        mixed, target = mixup(x.clone(), labels)  # it mixes in place
        output = model(mixed)
        return output, lambda: criterion(output, target)

    return step


def _mixed(model: nn.Module, at: str, blend: str) -> Step:
    mixer = Mixer(model, at, blend=blend, alpha=1.0, seed=0)

    def step(_: nn.Module, x: Tensor, labels: Tensor) -> tuple[Tensor, Callable[[], Tensor]]:
        output, target = mixer(x, labels)
        return output, lambda: target.loss(output)

    return step


def _row(name: str, counts: Counts, plain: Counts, moves: tuple[float, float] | None) -> Row:
    launches = [counts.get((part, "launches"), 0.0) for part in _PASSES]
    added = sum(launches) - sum(plain.get((part, "launches"), 0.0) for part in _PASSES)
    transfers, waits = moves or (math.nan, math.nan)
    passes = dict(zip(_PASSES, launches, strict=True))
    return {"what": name, **passes, "added": added, "transfers": transfers, "waits": waits}
