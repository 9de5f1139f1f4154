"""Random streams kept apart, so that one variant's draws do not shift another's.

All variants of a seed start from the same weights and see the same images in the same order with
the same crops; only what mixing itself draws differs.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True)
class Streams:
    """Seeds of the independent streams of a run, all derived from the run's one seed."""

    init: int
    order: int
    augment: int
    mix: int
    model: int

    @classmethod
    def of(cls, seed: int) -> "Streams":
        """Derive the streams of a run."""
        return cls(*(int(s) for s in np.random.SeedSequence(seed).generate_state(5, np.uint32)))


@contextmanager
def torch_seed(seed: int) -> Iterator[None]:
    """Seed torch's global generators inside the block (weights, dropout); restore them after."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield
