"""Measure the time that mixing adds to a step of a tiny network, which is mostly Python.

Ten 8 x 8 linear layers are trained with SGD on batches of 32: without mixing, with timm's Mixup,
with torchvision's MixUp, with plain PyTorch code ("by hand"), and with a `Mixer` at four mix
points. `sys.setprofile` counts the functions, calls and files of layermix in a mixed step.

Shapes: B examples (B, 8).
"""

import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import layermix
from benchmarks.setting import Setting
from benchmarks.table import Row, Table
from benchmarks.timing import alternate
from layermix.hooks import Mixer
from layermix.lab.training.environment import cpu_settings, torch_seed

_WIDTH, _LAYERS, _BATCH = 8, 10, 32
_ROUNDS = 300  # steps in a repetition, which is their median
_POINTS = ("input", "4", "final", "logits")

_PACKAGE = str(Path(layermix.__file__).parent)

Loss = Callable[[nn.Module, Tensor, Tensor], Tensor]


def tiny_steps(setting: Setting) -> Table:
    """Time a step of each mixing method alternately, and count the functions of layermix."""
    rounds = 3 if setting.small else _ROUNDS
    with cpu_settings(setting.threads):
        steps = _steps(setting.device)
        for _ in range(rounds):  # warm up torch and the caches, and prefetch plans
            for step in steps.values():
                step()
        counts = {name: count_functions(step) for name, step in steps.items()}
        singly = alternate(steps, setting.repeats * rounds, device=setting.device)
    parts = {name: _medians(seconds, rounds) for name, seconds in singly.items()}
    added = {
        name: [t - n for t, n in zip(parts[name], parts["none"], strict=True)] for name in parts
    }
    return Table(
        title=f"Time that a mixed step adds to ten {_WIDTH} x {_WIDTH} linear layers",
        rows=[_row(name, parts[name], added[name], added["timm"], counts[name]) for name in parts],
        notes=[
            "added: additional seconds over the step without mixing; / timm: ratio to the added "
            "time of timm's Mixup in the same repetition; median, minimum and maximum of n.",
            "functions, calls, files: number of layermix's functions, calls and files in one step.",
            f"Batches of {_BATCH}, alpha 1, cross-entropy, SGD. A repetition is the median of "
            f"{rounds} steps; the methods alternate.",
        ],
    )


def count_functions(step: Callable[[], object]) -> tuple[int, int, int]:
    """Return how many functions of layermix a step calls, how often, and from how many files."""
    calls: list[tuple[str, str]] = []

    def count(frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(_PACKAGE):
            calls.append((code.co_filename, code.co_qualname))

    sys.setprofile(count)
    try:
        step()
    finally:
        sys.setprofile(None)
    return len(set(calls)), len(calls), len({file for file, _ in calls})


def _steps(device: str) -> dict[str, Callable[[], None]]:
    x = torch.randn(_BATCH, _WIDTH, generator=torch.Generator().manual_seed(0)).to(device)
    labels = (torch.arange(_BATCH) % _WIDTH).to(device)
    plain: dict[str, Loss] = {
        "none": lambda net, x, y: F.cross_entropy(net(x), y),
        "timm": _timm(),
        "torchvision": _torchvision(),
        "by hand": _by_hand,
    }
    steps = {name: _step(_network(device), loss, x, labels) for name, loss in plain.items()}
    for at in _POINTS:
        network = _network(device)
        mixer = Mixer(network, at, alpha=1.0, seed=0)
        steps[f"layermix {at}"] = _step(network, _mixed(mixer), x, labels)
    return steps


def _step(network: nn.Module, loss: Loss, x: Tensor, labels: Tensor) -> Callable[[], None]:
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01)

    def step() -> None:
        value = loss(network, x, labels)
        optimizer.zero_grad(set_to_none=True)
        value.backward()
        optimizer.step()

    return step


def _network(device: str) -> nn.Module:
    with torch_seed(0):
        return nn.Sequential(*(nn.Linear(_WIDTH, _WIDTH) for _ in range(_LAYERS))).to(device)


def _mixed(mixer: Mixer) -> Loss:
    def loss(_: nn.Module, x: Tensor, labels: Tensor) -> Tensor:
        output, target = mixer(x, labels)
        return target.loss(output)

    return loss


def _by_hand(network: nn.Module, x: Tensor, labels: Tensor) -> Tensor:
    ratio, partner = np.random.beta(1.0, 1.0), torch.randperm(len(x), device=x.device)
    output = network(ratio * x + (1 - ratio) * x[partner])
    first, second = F.cross_entropy(output, labels), F.cross_entropy(output, labels[partner])
    return ratio * first + (1 - ratio) * second


def _timm() -> Loss:
    from timm.data.mixup import Mixup
    from timm.loss.cross_entropy import SoftTargetCrossEntropy

    criterion = SoftTargetCrossEntropy()
    mixup = Mixup(mixup_alpha=1.0, label_smoothing=0.0, num_classes=_WIDTH)

    def loss(network: nn.Module, x: Tensor, labels: Tensor) -> Tensor:
        mixed, target = mixup(x.clone(), labels)  # timm mixes in place
        return criterion(network(mixed), target)

    return loss


def _torchvision() -> Loss:
    from torchvision.transforms import v2

    mixup = v2.MixUp(alpha=1.0, num_classes=_WIDTH)

    def loss(network: nn.Module, x: Tensor, labels: Tensor) -> Tensor:
        mixed, target = mixup(x[:, :, None, None], labels)  # it only accepts images
        return F.cross_entropy(network(mixed[:, :, 0, 0]), target)

    return loss


def _medians(seconds: list[float], rounds: int) -> list[float]:
    """Return the median time of a step in each repetition, which has several steps."""
    starts = range(0, len(seconds), rounds)
    return [statistics.median(seconds[start : start + rounds]) for start in starts]


def _row(
    name: str, seconds: list[float], added: list[float], timm: list[float], counts: tuple[int, ...]
) -> Row:
    ratios = [a / b for a, b in zip(added, timm, strict=True)]
    functions, calls, files = counts
    return {
        "what": name,
        "n": len(seconds),
        "seconds": statistics.median(seconds),
        "added": statistics.median(added),
        "/ timm": statistics.median(ratios),
        "least": min(ratios),
        "most": max(ratios),
        "functions": functions,
        "calls": calls,
        "files": files,
    }
