"""How torch uses the CPU during a run; the caller's own settings come back afterwards."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def cpu_settings(threads: int | None) -> Iterator[None]:
    """Compute on so many threads (torch's own choice when None), tiny numbers taken for zero.

    Weights and moments below the least normal float slow CPUs down manifold.
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
    """Tell whether torch takes tiny numbers for zero, for which it has no question of its own."""
    return float(torch.tensor(1e-310, dtype=torch.float64) + 0.0) == 0.0
