"""Operations and Python calls of a training step that are not those of the model.

One epoch of layermix's loop is counted: batches, augmentation, model, loss, optimizer, schedule and
metrics. The forward pass, the cross-entropy and the backward pass of the model alone are counted on
one of its batches and subtracted. The counts do not depend on the speed of the machine.
"""

import sys
from collections.abc import Callable
from dataclasses import replace
from types import FrameType
from typing import Any

import torch
import torch.nn.functional as F

from benchmarks.counting import Counting
from benchmarks.setting import Setting
from benchmarks.table import Row, Table
from layermix.hooks.batch import call
from layermix.lab.data import DataConfig, Dataset, load
from layermix.lab.run_setup import complete, fresh_model
from layermix.lab.training import PRESETS, Recipe
from layermix.lab.training.environment import cpu_settings
from layermix.lab.training.loop import Trainer

_BATCH = 64
_PLAIN = Recipe(epochs=3, batch_size=_BATCH, crop=2, flip=True)
_RUNS: dict[str, tuple[str, Recipe, tuple[str, ...]]] = {
    "resnet-small": ("resnet-small", _PLAIN, ()),
    "resnet-small, input": ("resnet-small", _PLAIN, ("input",)),
    "resnet-small, final": ("resnet-small", _PLAIN, ("final",)),
    "resnet18": ("resnet18", _PLAIN, ()),
    "speed recipe": ("speed", replace(PRESETS["speed"].recipe, batch_size=_BATCH), ()),
}
_STEPS = 20
_COUNTS = ("operations", "calls of Python")


def bench_loop(setting: Setting) -> Table:
    """Count operations and calls in the training loop, for several models and recipes."""
    steps = 3 if setting.small else _STEPS
    data = load(DataConfig(setting.data, image_size=32))
    data = replace(data, train=data.train[torch.arange(_BATCH * steps) % len(data.train)])
    with cpu_settings(setting.threads):
        rows = [_row(name, data, setting) for name in _RUNS]
    return Table(
        title=f"Operations and calls of a training step outside the model, {setting.device}",
        rows=rows,
        notes=[
            f"mean over the {steps} steps of an epoch with batches of {_BATCH} images of 32 x 32; "
            "operations: dispatched by PyTorch, without views and allocations. model: the forward "
            "pass, the cross-entropy and the backward pass alone; outside: all others.",
        ],
    )


def _row(name: str, data: Dataset, setting: Setting) -> Row:
    model, recipe, points = _RUNS[name]
    recipe = complete(replace(recipe, device=setting.device), data)
    net = fresh_model(model, data, 0).to(setting.device)
    trainer = Trainer(net, data.to(torch.device(setting.device)), recipe, points)
    whole = _counts(lambda: trainer.run_epoch(2))
    x, labels = next(trainer.batches.epoch(3))
    kind = torch.device(setting.device).type

    def alone() -> None:
        with torch.autocast(kind, torch.bfloat16, enabled=recipe.is_half(trainer.device)):
            loss = F.cross_entropy(call(net, x), labels)
        loss.backward()

    steps = len(trainer.batches)
    row: Row = {"what": name}
    for each, total, own in zip(_COUNTS, whole, _counts(alone, net.zero_grad), strict=True):
        row |= {each: total / steps, f"{each}, model": own, f"{each}, outside": total / steps - own}
    return row


def _counts(
    work: Callable[[], object], before: Callable[[], object] = lambda: None
) -> tuple[int, int]:
    """Return the dispatched operations and the calls of Python functions of some work."""
    work()
    before()
    with Counting() as counting:
        work()
    before()
    calls = 0

    def count(frame: FrameType, event: str, _: Any) -> None:
        nonlocal calls
        calls += event == "call"

    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(None)
    return sum(counting.counts.values()), calls
