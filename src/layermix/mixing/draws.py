"""Random numbers from a seed and a step, and the plan that is built from them."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from layermix.errors import InputError, brief
from layermix.mixing.checks import is_whole
from layermix.mixing.pairs import Pairs, inverse_of, is_interior, is_permutation
from layermix.mixing.plan import Plan


class StepGenerator:
    """A random generator that can start at any training step: numpy's Philox (Salmon et al., 2011).

    Step and part are words of its counter, so each part of a step has 2^64 blocks of numbers.
    """

    def __init__(self, seed: int, *key: int) -> None:
        bits = np.random.Philox(np.random.SeedSequence(seed, spawn_key=key))
        self._generator, self._state = np.random.Generator(bits), bits.state
        self._counter = self._state["state"]["counter"]

    def at(self, step: int, part: int = 0) -> np.random.Generator:
        """Set the generator to the start of a step (or of a `part` of it), and return it."""
        self._counter[1], self._counter[2] = step, part
        self._generator.bit_generator.state = self._state
        return self._generator


def checked_seed(seed: Any) -> int:
    """Return a seed as an int; raise an `InputError` unless it is a whole number >= 0."""
    if is_whole(seed) and seed >= 0:
        return int(seed)
    raise InputError(
        f"the seed is {brief(seed)}, but must be a whole number >= 0, or None for torch's seed"
    )


def check_size(size: Any) -> None:
    """Raise an `InputError` unless a batch size is a whole number >= 1."""
    if not is_whole(size) or size < 1:
        raise InputError(
            f"batch_size is {brief(size)}, but must be the number of examples, len(x), and >= 1"
        )


def plan_of(
    point: str,
    ratio: Any,
    partner: np.ndarray,
    draws: Mapping[str, np.ndarray],
    *,
    permutation: bool,
    dtype: torch.dtype,
    **settings: Any,
) -> Plan:
    """Create a plan on the CPU from drawn numbers; only the range of the partners is checked."""
    if not (permutation or settings["cross_rank"]):
        is_permutation(partner)
    number = torch.as_tensor(ratio, dtype=dtype if dtype == torch.float64 else torch.float32)
    interior = is_interior(np.asarray(ratio))
    second, tensors = torch.from_numpy(partner), {}
    if draws:
        tensors = {name: torch.from_numpy(np.asarray(value)) for name, value in draws.items()}
    rows, plan = number.reshape(-1), object.__new__(Plan)
    inverse = torch.from_numpy(inverse_of(partner)) if permutation else None
    pairs = Pairs(number, rows, second, number.ndim > 0, interior, permutation, inverse)
    vars(plan).update(
        settings, point=point, ratio=number, partner=second, draws=tensors, pairs=pairs
    )
    return plan
