"""Time things side by side: alternately in one process, so that a busy machine slows all alike."""

import math
import statistics
import time
from collections.abc import Callable, Mapping

import torch

from benchmarks.table import Row

Thing = Callable[[], object]
"""What is timed."""


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
    """Return median, least and most ratio of two things, repetition by repetition."""
    ratios = [a / b for a, b in zip(seconds[name], seconds[to], strict=True)]
    return statistics.median(ratios), min(ratios), max(ratios)


def measured(seconds: Mapping[str, list[float]], name: str) -> Row:
    """Return what a row says of a thing: how often it was timed, and the median."""
    return {"n": len(seconds[name]), "seconds": statistics.median(seconds[name])}


def against(seconds: Mapping[str, list[float]], name: str, to: str, column: str) -> Row:
    """Return what a row says of a ratio, in a column: median, with least and most."""
    middle, least, most = ratio(seconds, name, to)
    return {column: middle, "least": least, "most": most}


def _calls(thing: Thing, least: float, device: str) -> int:
    """Return how many calls make a measurement.

    They are found by measuring ever more calls: what prepares some calls at once, such as plans
    drawn ahead, takes long in one call and no time in the next.
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
