"""Random streams of a planner: every question of every step has one of its own.

A stream is a stretch of numpy's Philox (Salmon, Moraes, Dror, Shaw, 2011), a function of a key and
a counter: the key is made of seed, question and, where processes of data parallel training differ,
the rank, and the counter begins at the step. So what a step draws depends on nothing that was
drawn before: no question shifts another, and the state of a planner is a seed and a clock, alike on
all ranks. No global generator is read.
"""

from typing import Literal

import numpy as np

from layermix.errors import InputError, brief
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
        Rank of this process in data parallel training; that of `torch.distributed` when left out.
    ranks
        How many processes partners are taken from, which then share their stream: 1 for those of
        this one alone, None for all that there are.

    Raises
    ------
    InputError
        For a seed that is neither a whole number >= 0 nor a generator.

    Attributes
    ----------
    rank, ranks
        The same as `locate` last found them.
    """

    def __init__(
        self, seed: int | np.random.Generator = 0, rank: int | None = None, ranks: int | None = 1
    ) -> None:
        self._given = rank, ranks
        self.seed = seed_of(seed)
        self.rank, self.ranks = 0, 1
        self.locate()

    @property
    def seed(self) -> int:
        """The seed of all streams."""
        return self._seed

    @seed.setter
    def seed(self, seed: int) -> None:
        self._seed = seed
        self._streams: dict[Question, Stream] = {}

    def locate(self) -> tuple[int, int]:
        """Look again which rank this is of how many, for a planner may be made before they join."""
        rank, ranks = place()
        own, of = self._given
        found = rank if own is None else own, of or ranks
        if found != (self.rank, self.ranks):
            self.rank, self.ranks = found
            self._streams = {}
        return found

    def of(self, question: Question, step: int) -> np.random.Generator:
        """Return the generator that answers a question at a step, until it is asked again."""
        if question not in self._streams:
            self._streams[question] = Stream(self.seed, self._key(question))
        return self._streams[question].at(step)

    def _key(self, question: Question) -> tuple[int, ...]:
        """Return what tells the stream of a question from the others of the seed."""
        of_rank = question in _OF_A_RANK and (question != "partner" or self.ranks == 1)
        return (_KEYS[question], self.rank) if of_rank else (_KEYS[question],)


class Stream:
    """The generator of one question, which can begin at any step.

    Parameters
    ----------
    seed
        Seed of all streams.
    key
        Which of them.
    """

    def __init__(self, seed: int, key: tuple[int, ...]) -> None:
        bits = np.random.Philox(np.random.SeedSequence(seed, spawn_key=key))
        self._generator, self._state = np.random.Generator(bits), bits.state
        self._counter = self._state["state"]["counter"]

    def at(self, step: int) -> np.random.Generator:
        """Return the generator at the beginning of a step; each has 2^64 blocks of its own."""
        self._counter[1] = step
        self._generator.bit_generator.state = self._state
        return self._generator


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
        f"the seed is {brief(seed)}, but must be a whole number >= 0, or a numpy generator from "
        "which one is taken: seed=0, or seed=numpy.random.default_rng()"
    )
