"""How torch uses the CPU during a run; its own settings come back afterwards."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def cpu_settings(threads: int | None) -> Iterator[None]:
    """Compute on so many threads (torch's own choice when None), and treat tiny numbers as zero.

    Weights and moments below the least normal float slow CPUs down many times over.
    """
    before, flushed = torch.get_num_threads(), _flushes_denormals()
    torch.set_flush_denormal(True)
    try:
        torch.set_num_threads(threads or before)
        yield
    finally:
        torch.set_num_threads(before)
        torch.set_flush_denormal(flushed)


def _flushes_denormals() -> bool:
    """Return True if torch treats tiny numbers as zero, which it has no function to ask for."""
    return float(torch.tensor(1e-310, dtype=torch.float64) + 0.0) == 0.0
