"""Time things side by side: alternately in one process, so that a busy machine slows all alike."""

import math
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from layermix.lab.training.cpu import give_back_memory

Thing = Callable[[], object]
"""What is timed."""

_STATUS, _REFS = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def alternate(
    things: Mapping[str, Thing], repeats: int, *, least: float = 0.0, device: str = "cpu"
) -> dict[str, list[float]]:
    """Return the seconds of each repetition of each thing, after one of each that does not count.

    Parameters
    ----------
    things
        What to time, by name.
    repeats
        How often; each repetition runs all things once, one after another.
    least
        Seconds that a measurement takes: what is quicker is called several times in each, and a
        call's share is returned.
    device
        Which device to wait for before the clock is read.
    """
    for thing in things.values():
        thing()
    calls = {name: _calls(thing, least, device) for name, thing in things.items()}
    seconds: dict[str, list[float]] = {name: [] for name in things}
    for _ in range(repeats):
        for name, thing in things.items():
            seconds[name].append(_seconds(thing, calls[name], device) / calls[name])
    return seconds


def ratio(seconds: Mapping[str, list[float]], name: str, to: str) -> tuple[float, float, float]:
    """Return median, least and largest ratio of two things, repetition by repetition."""
    ratios = [a / b for a, b in zip(seconds[name], seconds[to], strict=True)]
    return statistics.median(ratios), min(ratios), max(ratios)


def peak_memory(thing: Thing, device: str = "cpu") -> float:
    """Return by how many MB memory grows at most while a thing runs; NaN where unknown.

    On the CPU it is the memory of the process, on a GPU what torch has taken of it.
    """
    if device == "cuda":
        return _peak_on_gpu(thing)
    if not _REFS.exists():
        return math.nan
    give_back_memory()  # taken again, freed memory would not be seen to grow
    before = _kilobytes("VmRSS")
    _REFS.write_text("5")  # forget the peak so far
    thing()
    return (_kilobytes("VmHWM") - before) * 1024 / 1e6


def _calls(thing: Thing, least: float, device: str) -> int:
    """Return how many calls make a measurement."""
    return math.ceil(least / _seconds(thing, 1, device)) if least else 1


def _seconds(thing: Thing, calls: int, device: str) -> float:
    _wait(device)
    started = time.perf_counter()
    for _ in range(calls):
        thing()
    _wait(device)
    return time.perf_counter() - started


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def _peak_on_gpu(thing: Thing) -> float:
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    thing()
    torch.cuda.synchronize()
    return (torch.cuda.max_memory_allocated() - before) / 1e6


def _kilobytes(name: str) -> int:
    (line,) = (line for line in _STATUS.read_text().splitlines() if line.startswith(f"{name}:"))
    return int(line.split()[1])
