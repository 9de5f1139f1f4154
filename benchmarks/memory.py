"""Peak memory of a function call: of the whole process, and of its tensors only.

The C library may keep freed memory, so the memory of a process is not exact. The memory of tensors
is the sum of their allocations, so that even differences of 0.1% can be measured.
"""

import ctypes
import math
import sys
from collections.abc import Callable
from itertools import accumulate
from pathlib import Path
from typing import Any

import torch

from benchmarks.profiler import profiler

_STATUS, _REFS = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def peak_memory(thing: Callable[[], object], device: str = "cpu") -> float:
    """Return the peak increase of memory in MB during a call; NaN if it is unknown.

    On the CPU, it is the memory of the process; on a GPU, the memory allocated by torch.
    """
    if device == "cuda":
        return _peak_on_gpu(thing)
    if not _REFS.exists():
        return math.nan
    _give_back_memory()  # otherwise the call could reuse freed memory, which is not counted
    before = _kilobytes("VmRSS")
    _REFS.write_text("5")  # resets the peak
    thing()
    return (_kilobytes("VmHWM") - before) * 1024 / 1e6


def peak_of_tensors(thing: Callable[[], object], device: str = "cpu") -> float:
    """Return the peak increase of tensor memory in MB during a call.

    Temporary memory of torch's operations is included, but not that of libraries called by torch.
    """
    if device == "cuda":
        return _peak_on_gpu(thing)
    with profiler(device, profile_memory=True) as profile:
        thing()
    found: Any = profile.profiler
    events = [e for e in found.kineto_results.events() if e.name() == "[memory]"]
    events.sort(key=lambda event: event.start_ns())
    return max(accumulate(event.nbytes() for event in events), default=0) / 1e6


def _peak_on_gpu(thing: Callable[[], object]) -> float:
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    thing()
    torch.cuda.synchronize()
    return (torch.cuda.max_memory_allocated() - before) / 1e6


def _kilobytes(name: str) -> int:
    (line,) = (line for line in _STATUS.read_text().splitlines() if line.startswith(f"{name}:"))
    return int(line.split()[1])


def _give_back_memory() -> None:
    """Return freed memory to the system, if the C library is glibc."""
    library = ctypes.CDLL(None) if sys.platform.startswith("linux") else None
    if library is not None and hasattr(library, "malloc_trim"):
        library.malloc_trim(0)
