"""Profile of a run of the speed recipe.

A whole run, from the first step to the evaluation on the test data, is profiled with torch. Only
convolutions and matrix products are necessary; the other operations could be optimized.
"""

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch

from benchmarks.profiler import profiler
from benchmarks.setting import Setting
from benchmarks.table import Row, Table
from layermix.lab.data import DataConfig, load
from layermix.lab.run_setup import complete, fresh_model
from layermix.lab.training import PRESETS
from layermix.lab.training.environment import cpu_settings
from layermix.lab.training.loop import Trainer

_WINDOW = 20  # forward passes in a window, after which events are summed and discarded
_KINDS = {
    "convolutions": ("conv",),
    "matrix products": ("aten::mm", "aten::addmm", "aten::bmm", "linear"),
    "norms": ("batch_norm",),
    "pooling": ("pool", "amax"),
    "activations": ("gelu", "relu", "threshold"),
    "copies and casts": ("copy_", "aten::index", "aten::cat", "fill_", "zero_"),
}
_OTHER, _BETWEEN = "other operations", "between operations"
_NEEDED = ("convolutions", "matrix products")


class Windows:
    """Profile code in windows of 20 forward passes, and sum the seconds of each operation."""

    def __init__(self, device: str) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.whole = 0.0
        self._device = device
        self._calls = 0

    @contextmanager
    def over(self, model: torch.nn.Module) -> Iterator[None]:
        """Profile the code inside the block; windows start at forward passes of a model.

        No operation is running at these times. One that outlives its profile would write to freed
        memory.
        """
        handle = model.register_forward_pre_hook(self._call)
        self._begin()
        try:
            yield
        finally:
            self._end()
            handle.remove()

    def _call(self, *_: object) -> None:
        self._calls += 1
        if self._calls % _WINDOW == 0:
            self._end()
            self._begin()

    def _begin(self) -> None:
        self._profile = profiler(self._device)
        self._profile.start()
        self._started = time.perf_counter()

    def _end(self) -> None:
        gpu = self._device == "cuda"
        if gpu:
            torch.cuda.synchronize()
        self.whole += time.perf_counter() - self._started
        self._profile.stop()
        for event in self._profile.key_averages():
            found: Any = event
            if found.device_type.name != "CPU":
                continue  # a kernel: its time is also in the operation that launched it
            spent = found.self_device_time_total if gpu else found.self_cpu_time_total
            self.seconds[found.key] += spent / 1e6


def bench_speed(setting: Setting) -> Table:
    """Profile one run of the speed recipe, without mixing."""
    speed = PRESETS["speed"]
    recipe = speed.recipe
    source = DataConfig(setting.data)
    if setting.small:
        source = replace(source, train_size=60)
        recipe = replace(recipe, epochs=1, batch_size=20)
    data = load(source)
    recipe = complete(replace(recipe, device=setting.device, geometry=False), data)
    with cpu_settings(setting.threads):
        model = fresh_model(speed.model, data, seed=0).to(setting.device)
        device = torch.device(setting.device)
        trainer = Trainer(model, data.to(device), recipe, monitor_at=("final",))
        windows = Windows(setting.device)
        with windows.over(model):
            trained = trainer.train()
    kinds = _kinds(windows)
    return Table(
        title=f"A run of the speed recipe on {setting.data}, {setting.device}",
        rows=_rows(kinds, windows.whole),
        notes=[
            f"{recipe.epochs} epochs of {len(data.train)} images, batch size {recipe.batch_size}; "
            f"test accuracy {trained.test['accuracy']:.2%}, over views "
            f"{(trained.test_views or {})['accuracy']:.2%}.",
            "share: of the time of the whole run with the profiler, which slows small operations.",
            "between operations: Python and other time outside operations. Time not in "
            f"{' and '.join(_NEEDED)}: "
            f"{1 - sum(kinds[kind] for kind in _NEEDED) / windows.whole:.1%}.",
        ],
    )


def _kinds(windows: Windows) -> dict[str, float]:
    """Return the seconds of each kind of operation, such as convolutions."""
    found = dict.fromkeys((*_KINDS, _OTHER), 0.0)
    for name, seconds in windows.seconds.items():
        kinds = (kind for kind, parts in _KINDS.items() if any(part in name for part in parts))
        found[next(kinds, _OTHER)] += seconds
    found[_BETWEEN] = max(0.0, windows.whole - sum(found.values()))
    return found


def _rows(kinds: dict[str, float], whole: float) -> list[Row]:
    return [
        {"what": name, "seconds": seconds, "share": seconds / whole}
        for name, seconds in {**kinds, "whole run": whole}.items()
    ]
