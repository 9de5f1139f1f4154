"""Random streams of a planner: every question of every step has one of its own.

A stream is numpy's PCG64, seeded by (seed, question, step) and, where processes of data parallel
training differ, by the rank. So what a step draws depends on nothing that was drawn before: no
question shifts another, and the state of a planner is a seed and a clock, alike on all ranks. No
global generator is read.
"""

from typing import Literal

import numpy as np

from layermix.errors import InputError
from layermix.mixing.checks import is_whole
from layermix.mixing.ranks import place

Question = Literal["point", "ratio", "sample", "partner", "blend", "when"]
_KEYS: dict[Question, int] = {
    name: key for key, name in enumerate(("point", "ratio", "sample", "partner", "blend", "when"))
}
_OF_A_RANK = ("sample", "partner", "blend")


class Streams:
    """Makes the generators of a planner.

    Parameters
    ----------
    seed
        Seed of all streams, or a generator from which it is taken.
    rank
        Rank of this process in data parallel training; that of `torch.distributed`, asked at each
        draw, when left out.
    ranks
        How many processes partners are taken from, which then share their stream: 1 for those of
        this one alone, None for all that there are at a draw.

    Raises
    ------
    InputError
        For a seed that is neither a whole number >= 0 nor a generator.
    """

    def __init__(
        self, seed: int | np.random.Generator = 0, rank: int | None = None, ranks: int | None = 1
    ) -> None:
        self.seed = seed_of(seed)
        self._rank, self._ranks = rank, ranks

    @property
    def place(self) -> tuple[int, int]:
        """The rank of this process, and how many processes partners are taken from."""
        if self._rank is not None and self._ranks is not None:
            return self._rank, self._ranks
        rank, ranks = place()
        return rank if self._rank is None else self._rank, self._ranks or ranks

    @property
    def rank(self) -> int:
        """The rank of this process."""
        return self.place[0]

    @property
    def ranks(self) -> int:
        """How many processes partners are taken from."""
        return self.place[1]

    def of(self, question: Question, step: int) -> np.random.Generator:
        """Return the generator that answers a question at a step."""
        key = [_KEYS[question], step]
        if question in _OF_A_RANK and not (question == "partner" and self.ranks > 1):
            key.append(self.rank)
        sequence = np.random.SeedSequence(self.seed, spawn_key=key)
        return np.random.Generator(np.random.PCG64(sequence))


def seed_of(seed: int | np.random.Generator) -> int:
    """Return a seed as a plain number, drawn where a generator is given.

    Raises
    ------
    InputError
        For what is neither a whole number >= 0 nor a numpy generator.
    """
    if isinstance(seed, np.random.Generator):
        return int(seed.integers(2**63))
    if is_whole(seed) and seed >= 0:
        return int(seed)
    raise InputError(
        f"the seed is {seed!r}, but must be a whole number >= 0, or a numpy generator from which "
        "one is taken: seed=0, or seed=numpy.random.default_rng()"
    )
