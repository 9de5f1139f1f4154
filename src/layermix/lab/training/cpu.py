"""How torch uses the CPU during a run; its own settings come back afterwards.

Those of the C library cannot be read: they become what glibc itself ends at.
"""

import ctypes
import functools
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch

# Options of glibc's mallopt, and what its own adjustment ends at where large blocks come and go.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4
_NEVER_TRIM, _NO_MAPS = 2**31 - 1, 0
_LARGEST_THRESHOLD, _USUAL_MAPS = 32 * 2**20, 65536


@contextmanager
def cpu_settings(threads: int | None) -> Iterator[None]:
    """Compute on so many threads (torch's own choice when None), tiny numbers taken for zero.

    Weights and moments below the least normal float slow CPUs down many times over. Freed memory
    stays with the process, for the next step needs as much.
    """
    before, flushed = torch.get_num_threads(), _flushes_denormals()
    torch.set_flush_denormal(True)
    try:
        torch.set_num_threads(threads or before)
        with kept_memory():
            yield
    finally:
        torch.set_num_threads(before)
        torch.set_flush_denormal(flushed)


@contextmanager
def kept_memory() -> Iterator[None]:
    """Keep freed memory in the process, where the C library is glibc; elsewhere do nothing.

    By itself it maps every block of more than 32 MiB anew and hands it back when it is freed: the
    system then clears page after page of it at its first use, which takes ten times as long as to
    copy the block. Smaller ones are handed back wherever they end the heap. Afterwards blocks of up
    to 32 MiB are kept, as glibc itself does once it has seen some; settings of the environment
    (``MALLOC_...``) do not come back.
    """
    libc = _glibc()
    if libc is None:
        yield
        return
    libc.mallopt(_MMAP_MAX, _NO_MAPS)
    libc.mallopt(_TRIM_THRESHOLD, _NEVER_TRIM)
    try:
        yield
    finally:
        libc.mallopt(_MMAP_MAX, _USUAL_MAPS)
        libc.mallopt(_MMAP_THRESHOLD, _LARGEST_THRESHOLD)
        libc.mallopt(_TRIM_THRESHOLD, 2 * _LARGEST_THRESHOLD)
        give_back_memory()


def give_back_memory() -> None:
    """Hand freed memory back to the system, where the C library is glibc."""
    if (libc := _glibc()) is not None:
        libc.malloc_trim(0)


@functools.cache
def _glibc() -> ctypes.CDLL | None:
    """Return the C library of the process, None where it is another one."""
    if not sys.platform.startswith("linux"):
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "gnu_get_libc_version") else None


def _flushes_denormals() -> bool:
    """Tell whether torch takes tiny numbers for zero, for which it has no question of its own."""
    return float(torch.tensor(1e-310, dtype=torch.float64) + 0.0) == 0.0
