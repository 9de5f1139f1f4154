"""Time functions in turn in one process, so that other load on the machine affects all equally."""

import math
import statistics
import time
from collections.abc import Callable, Mapping

import torch

from benchmarks.table import Row

Thing = Callable[[], object]
"""A function to time."""


def alternate(
    things: Mapping[str, Thing], repeats: int, *, least: float = 0.0, device: str = "cpu"
) -> dict[str, list[float]]:
    """Time functions in turn, after a warm-up call; return the seconds of each repetition.

    Parameters
    ----------
    things
        Functions to time, by name.
    repeats
        Number of repetitions. Each one runs all functions in turn.
    least
        Minimum seconds of a measurement. A faster function is called several times, and the time
        of one call is returned.
    device
        Device to synchronize before the time is read.
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
    """Return the time of `name` divided by the time of `to`: median, minimum and maximum."""
    ratios = [a / b for a, b in zip(seconds[name], seconds[to], strict=True)]
    return statistics.median(ratios), min(ratios), max(ratios)


def measured(seconds: Mapping[str, list[float]], name: str) -> Row:
    """Return table cells for the time of a function: number of repetitions, median seconds."""
    return {"n": len(seconds[name]), "seconds": statistics.median(seconds[name])}


def against(seconds: Mapping[str, list[float]], name: str, to: str, column: str) -> Row:
    """Return table cells for one time divided by another: median in `column`, least and most."""
    middle, least, most = ratio(seconds, name, to)
    return {column: middle, "least": least, "most": most}


def _calls(thing: Thing, least: float, device: str) -> int:
    """Return how often to call a function, so that a measurement takes `least` seconds or more.

    The number is doubled until the time is long enough. One call is not enough for an estimate: a
    function may prepare several calls at once, for example prefetch plans.
    """
    if not least:
        return 1
    calls = 1
    while (seconds := _seconds(thing, calls, device)) < least / 2:
        calls *= 2
    return math.ceil(calls * least / seconds)


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
