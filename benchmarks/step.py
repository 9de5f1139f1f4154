"""Time and memory that mixing adds to a training step.

The same training step of the same model is timed with mixing at one point, and without mixing:
forward, loss, backward, optimizer. Without mixing, it is plain PyTorch with torch's cross-entropy,
and does not use this library. Mixed and unmixed steps alternate, so that the CPU caches are in the
same state as in a training loop. The time of a repetition is the median over several rounds of
steps.

Shapes: B images (B, 3, 32, 32).
"""

import statistics
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.memory import peak_of_tensors
from benchmarks.setting import Setting
from benchmarks.table import Row, Table
from benchmarks.timing import against, alternate, measured
from benchmarks.tiny_step import tiny_steps
from layermix.hooks import Mixer, points
from layermix.lab.data.modality import map_arguments
from layermix.lab.models import build
from layermix.lab.training import Recipe
from layermix.lab.training.environment import cpu_settings, torch_seed

_MODELS = {"resnet-small": (128, 20), "resnet18": (128, 2)}  # batch size, rounds
_SHAPE, _CLASSES = (3, 32, 32), 10
_NONE, _AGAIN = "none", "none again"


def bench_step(setting: Setting) -> Table:
    """Measure time and memory of a step, mixed at the input, each block and the final layer."""
    if setting.tiny:
        return tiny_steps(setting)
    with cpu_settings(setting.threads):
        rows = [row for name in _MODELS for row in _rows(name, setting)]
    return Table(
        title=f"A mixed training step over the same step in plain PyTorch, {setting.device}",
        rows=rows,
        notes=[
            "none: the model, torch's cross-entropy, backward, SGD, without a mixer. none again: "
            "the same with a copy of the model; it shows the measurement error.",
            "/ none: ratio to none in the same repetition; median, minimum and maximum of n.",
            "MB: peak increase of the tensor memory in a step, without the images of the batch; "
            "/ none MB: ratio to none.",
            f"{_SHAPE[0]} x {_SHAPE[1]} x {_SHAPE[2]} images, channels last, "
            + ("bfloat16 autocast." if setting.device == "cuda" else "float32."),
        ],
    )


def step(model: nn.Module, at: str, x: Tensor, labels: Tensor) -> Callable[[], object]:
    """Return a function that runs one training step, with or without mixing at a mix point."""
    mixer = None if at in (_NONE, _AGAIN) else Mixer(model, at, seed=0)
    optimizer = Recipe().resolved("sgd").build_optimizer(model)

    def call() -> None:
        with torch.autocast(x.device.type, torch.bfloat16, enabled=x.is_cuda):
            if mixer is None:
                loss = F.cross_entropy(model(x), labels)
            else:
                output, target = mixer(x, labels)
                loss = target.loss(output)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    return call


def _rows(name: str, setting: Setting) -> list[Row]:
    size, rounds = (4, 1) if setting.small else _MODELS[name]
    x = torch.randn(size, *_SHAPE, generator=torch.Generator().manual_seed(0))
    x = x.to(setting.device, memory_format=torch.channels_last)
    labels = (torch.arange(size) % _CLASSES).to(setting.device)
    places = [_NONE, "input", *points(_model(name, "cpu"), x[:3].cpu()).blocks, "final", _AGAIN]
    steps = {at: step(_model(name, setting.device), at, x, labels) for at in places}
    singly = alternate(steps, setting.repeats * rounds, device=setting.device)
    seconds = {at: _medians(singly[at], rounds) for at in places}
    memory = {at: peak_of_tensors(steps[at], setting.device) for at in places}
    return [_row(name, size, at, seconds, memory) for at in places]


def _medians(seconds: list[float], rounds: int) -> list[float]:
    """Return the median time of a step in each repetition, which consists of several rounds."""
    starts = range(0, len(seconds), rounds)
    return [statistics.median(seconds[start : start + rounds]) for start in starts]


def _model(name: str, device: str) -> nn.Module:
    with torch_seed(0):
        model = build(name, _CLASSES, map_arguments(_SHAPE))
    return model.to(device, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]


def _row(
    model: str, size: int, at: str, seconds: dict[str, list[float]], memory: dict[str, float]
) -> Row:
    return {
        "what": at,
        "model": model,
        "batch": size,
        **measured(seconds, at),
        **against(seconds, at, _NONE, "/ none"),
        "MB": memory[at],
        "/ none MB": memory[at] / memory[_NONE],
    }
