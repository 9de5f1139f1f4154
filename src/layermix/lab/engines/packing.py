"""Choose how many runs are trained at the same time on one device, by a short trial.

One run is trained alone for a few seconds, then two at the same time, each in its own process. If
the device is shared without loss, two are twice as fast together. In general, let one run keep a
share s of the device busy that no other run can use at this time. Then k runs are

    k / (1 + (k - 1) s)

times as fast together as one, the formula of Amdahl (1967); the trial of two gives s. Runs are
added as long as each one brings a twentieth or more, and their memory fits.
"""

import itertools
import math
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import joblib
import torch
from joblib.externals.loky import get_reusable_executor

from layermix.lab.engines.job import JobSettings
from layermix.lab.run_setup import trainer_of
from layermix.lab.store import RunConfig
from layermix.lab.training.environment import cpu_settings, fast_convolutions, pick_device
from layermix.lab.training.loop import Trainer

_SECONDS, _WARM = 3.0, 3  # of a trial, after this number of steps
_PATIENCE = 60.0  # seconds in which another process must start
_FAILED = "failed"
_GAIN, _FILLED = 1.05, 0.9
_MEMORY, _STATUS = Path("/proc/meminfo"), Path("/proc/self/status")


class Trial(NamedTuple):
    """The speed of a process in examples per second, and its used and the free memory in bytes."""

    rate: float
    used: float
    free: float


class Packing(NamedTuple):
    """The chosen number of parallel runs, and how it was found."""

    workers: int
    reason: str


def chosen_workers(cells: list[RunConfig], settings: JobSettings) -> Packing:
    """Return the best number of parallel runs for the next runs of a study.

    Parameters
    ----------
    cells
        The runs to train; the first is used for the trial.
    settings
        Settings of all runs.

    Raises
    ------
    Exception
        As raised by the first run.
    """
    device = pick_device(cells[0].recipe.device)
    gpus = spread_over(cells[0].recipe.device)
    most = max(1, min(len(cells), joblib.cpu_count() // (settings.threads or 1)))
    if most == 1:
        return Packing(1, "there is one run, or one core, at a time")
    free = _free(device)
    (one,) = _trials(cells[0], settings, 1)
    memory = max(1.0, one.used if device.type == "cpu" else free - one.free)
    fitting = most if math.isinf(free) else max(1, int(_FILLED * free / memory))
    on_one = min(fitting, -(-most // gpus))
    together = one.rate
    if on_one > 1:
        together = sum(trial.rate for trial in _trials(cells[0], settings, 2))
        on_one = best_count(one.rate, together, on_one)
    found = min(most, on_one * gpus)
    return Packing(
        found,
        f"one run trains {one.rate:,.0f} examples per second, two together {together:,.0f}; "
        f"{memory / 1e9:.1f} GB each, of which {fitting} fit",
    )


def best_count(one: float, two: float, most: int) -> int:
    """Return the number of runs on a device, up to `most`.

    `one` and `two` are the examples per second of one run, and of two at the same time, together.
    """
    if two <= one:
        return 1
    alone = max(0.0, 2 * one / two - 1)

    def speed(count: int) -> float:
        return count / (1 + (count - 1) * alone)

    return next((k for k in range(1, most) if speed(k + 1) < _GAIN * speed(k)), most)


def spread_over(device: str) -> int:
    """Return over how many GPUs runs are spread; 1 on a CPU or if a GPU is named."""
    picked = pick_device(device)
    return (
        max(1, torch.cuda.device_count()) if picked.type == "cuda" and picked.index is None else 1
    )


def _trials(cell: RunConfig, settings: JobSettings, count: int) -> list[Trial]:
    """Train a run for a few seconds in each of `count` processes, at the same time."""
    with (
        tempfile.TemporaryDirectory() as folder,
        joblib.parallel_config("loky", inner_max_num_threads=settings.threads),
    ):
        jobs = (joblib.delayed(_trial)(cell, settings, Path(folder), count) for _ in range(count))
        try:
            found: Any = joblib.Parallel(2)(jobs)
        finally:
            # The runs get new processes, which ignore Ctrl-C and have no memory of a trial.
            get_reusable_executor().shutdown(wait=True)
    return found


def _trial(cell: RunConfig, settings: JobSettings, folder: Path, count: int) -> Trial:
    device = pick_device(cell.recipe.device)
    endless = replace(cell.recipe, epochs=1_000_000, compile=False)
    with cpu_settings(settings.threads), fast_convolutions():
        cell = replace(cell, recipe=endless)
        try:
            trainer = trainer_of(cell, settings.all_points, settings.factory)
            steps = _steps(trainer)
            for _ in range(_WARM):
                next(steps)
        except BaseException:
            (folder / _FAILED).touch()  # the other process must not wait
            raise
        _wait_for_others(folder, count)
        started, done = time.perf_counter(), 0
        while time.perf_counter() - started < _SECONDS:
            next(steps)
            done += 1
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds = time.perf_counter() - started
    return Trial(done * trainer.batches.size / seconds, _peak_of_process(), _free(device))


def _steps(trainer: Trainer) -> Iterator[None]:
    """Train step by step, without end."""
    trainer.model.train()
    with trainer.optimization.training():
        for epoch in itertools.count(1):
            for x, labels in trainer.batches.epoch(epoch):
                trainer.run_step(x, labels)
                yield


def _wait_for_others(folder: Path, count: int) -> None:
    (folder / str(os.getpid())).touch()
    started = time.monotonic()
    while len(found := [path.name for path in folder.iterdir()]) < count:
        if _FAILED in found or time.monotonic() - started > _PATIENCE:
            break
        time.sleep(0.01)


def _free(device: torch.device) -> float:
    """Return the free bytes of a device's memory, or infinity if they are unknown."""
    if device.type == "cuda":
        return float(torch.cuda.mem_get_info(device)[0])
    return _read_bytes(_MEMORY, "MemAvailable", math.inf) if device.type == "cpu" else math.inf


def _peak_of_process() -> float:
    """Return the peak memory of this process in bytes, or 0 if it is unknown."""
    return _read_bytes(_STATUS, "VmHWM", 0.0)


def _read_bytes(path: Path, name: str, default: float) -> float:
    """Return a value of a Linux file with lines such as ``MemAvailable: 1024 kB``."""
    if not path.exists():
        return default
    found = dict(line.split(":", 1) for line in path.read_text().splitlines())
    return 1024.0 * int(found[name].split()[0])
