"""Time things side by side: alternately in one process, so that a busy machine slows all alike."""

import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from layermix.lab.training.cpu import give_back_memory

_STATUS, _REFS = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def alternate(things: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, list[float]]:
    """Return the seconds of each repetition of each thing, after one of each that does not count.

    Parameters
    ----------
    things
        What to time, by name.
    repeats
        How often; each repetition runs all things once, one after another.
    """
    for thing in things.values():
        thing()
    seconds: dict[str, list[float]] = {name: [] for name in things}
    for _ in range(repeats):
        for name, thing in things.items():
            started = time.perf_counter()
            thing()
            seconds[name].append(time.perf_counter() - started)
    return seconds


def ratio(seconds: Mapping[str, list[float]], name: str, to: str) -> tuple[float, float, float]:
    """Return median, least and largest ratio of two things, repetition by repetition."""
    ratios = [a / b for a, b in zip(seconds[name], seconds[to], strict=True)]
    return statistics.median(ratios), min(ratios), max(ratios)


def peak_memory(thing: Callable[[], object]) -> float:
    """Return by how many MB the process grows at most while a thing runs; NaN where unknown."""
    if not _REFS.exists():
        return float("nan")
    give_back_memory()  # taken again, freed memory would not be seen to grow
    before = _kilobytes("VmRSS")
    _REFS.write_text("5")  # forget the peak so far
    thing()
    return (_kilobytes("VmHWM") - before) * 1024 / 1e6


def _kilobytes(name: str) -> int:
    (line,) = (line for line in _STATUS.read_text().splitlines() if line.startswith(f"{name}:"))
    return int(line.split()[1])
