"""Draw plans: the method, the mix point, the ratio and the partners of each step.

Each step has two random generators. All ranks of data parallel training share one for the method,
the mix point and the ratio of a batch. Each rank has another for everything else; with cross-rank
partners, all ranks use that of rank 0, draw for the joined batch, and take their part. Both depend
on seed, rank and step alone, so their state is the seed and the step.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from torch import Tensor

from layermix.errors import InputError, brief, warn
from layermix.mixing.checks import is_whole
from layermix.mixing.distributed import check_even, from_first, rank_info
from layermix.mixing.draws import StepGenerator, check_size, checked_seed, plan_of
from layermix.mixing.method_choice import MethodChoice, Prob
from layermix.mixing.method_sampler import MethodSampler
from layermix.mixing.plan import Plan, plans_on
from layermix.mixing.schedule import Clock, by_epoch

_PATIENCE = 10  # steps without set_epoch before a warning
_MOST_PLANS = 64  # plans that are drawn at once
_has_ranks = torch.distributed.is_initialized if torch.distributed.is_available() else bool


class PlanSampler:
    """Draw a `Plan` for each training step.

    Parameters
    ----------
    methods
        Methods, of which each plan uses one; or names of mix points, with `parts`.
    prob, seed, rank, cross_rank
        As for a `Mixer`. If a step is not mixed, ratios are 1 and each example is its own partner.
    parts
        Arguments of the `MethodSampler`, if `methods` has names of mix points.

    Raises
    ------
    InputError
        If the seed or a probability is invalid, or if cross-rank partners would need the labels or
        inputs of a batch.
    """

    def __init__(
        self,
        methods: Sequence[MethodSampler] | Sequence[str],
        *,
        prob: Prob = 1.0,
        seed: int | None = None,
        rank: int | None = None,
        cross_rank: bool = False,
        **parts: Any,
    ) -> None:
        names = [name for name in methods if not isinstance(name, MethodSampler)]
        found = [MethodSampler(names, **parts)] if names or parts else methods
        self.methods: tuple[MethodSampler, ...] = tuple(found)  # pyright: ignore[reportAttributeAccessIssue]
        self.clock = Clock()  # steps and epoch so far
        for method in self.methods if cross_rank else ():
            method.check_cross_rank()
        self._cross_rank, self._given_rank = cross_rank, rank
        self._choice = MethodChoice(len(self.methods), prob)
        self._follows_torch = seed is None
        self._seed = torch.initial_seed() if seed is None else checked_seed(seed)
        self._by_epoch = [text for method in self.methods for text in method.by_epoch]
        self._by_epoch += by_epoch(prob=prob)
        self._prefetches = self._choice.constant and all(m.is_constant for m in self.methods)
        self._join()

    @property
    def points(self) -> tuple[str, ...]:
        """The names of the mix points that are drawn."""
        return tuple(dict.fromkeys(p for m in self.methods for p in m.points.weights))

    @property
    def dropped(self) -> dict[str, str]:
        """The points that are no longer drawn, with the reason for each."""
        return {p: why for m in self.methods for p, why in m.points.dropped.items()}

    @property
    def shares(self) -> list[float]:
        """The current probability of each method; the sum is the probability to mix at all."""
        return self._choice.shares(self.clock)

    def draw(
        self,
        batch_size: int,
        device: torch.device | str = "cpu",
        *,
        labels: Tensor | Mapping[str, Tensor] | None = None,
        inputs: Tensor | None = None,
        dtype: torch.dtype | None = None,
    ) -> Plan:
        """Draw a plan for a batch.

        Warns once, after 10 steps, if `set_epoch` is needed and was not called.

        Parameters
        ----------
        batch_size
            Number of examples B.
        device, dtype
            Device of the plan's tensors. Ratios are float64 if `dtype` is, else float32.
        labels, inputs
            Labels and inputs, (B, ...), for partners that depend on them.

        Raises
        ------
        InputError
            If the batch is empty, if labels or inputs are needed and missing, or, on all ranks, if
            batch sizes differ with cross-rank partners.
        """
        if type(batch_size) is not int or batch_size < 1 or self._by_epoch or _has_ranks():
            self._prepare(batch_size)
        step, self._dtype = self.clock.step, dtype or torch.get_default_dtype()
        if not self._prefetches:
            plan = self._draw(self.clock, batch_size, labels, inputs).to(device)
        else:
            drawn_for = (batch_size, device, self._dtype)
            if not self._plans or step != self._next_step or drawn_for != self._drawn_for:
                self._prefetch(step, drawn_for)
            plan = self._plans.pop()
        self.clock.step = self._next_step = step + 1
        return plan

    def _prefetch(self, step: int, drawn_for: tuple[int, Any, torch.dtype]) -> None:
        """Draw the plans of the next steps at once, each time for twice as many steps.

        They are moved to the device in one transfer. Single draws are slower, because a model's
        step evicts the drawing code from the CPU caches.
        """
        again = step == self._next_step and drawn_for == self._drawn_for
        self._count = min(_MOST_PLANS, 2 * self._count) if again else 1
        self._drawn_for = drawn_for
        size, device, _ = drawn_for
        clocks = [Clock(step + k, self.clock.epoch) for k in range(self._count)]
        self._plans = plans_on([self._draw(clock, size) for clock in reversed(clocks)], device)

    def _draw(self, clock: Clock, size: int, labels: object = None, inputs: object = None) -> Plan:
        index, where, cross_rank = 0, 0.0, self._cross_rank
        if not self._choice.always or self.methods[0].points.only is None:
            which, where = self._shared.at(clock.step, 1).random(2).tolist()
            index = self._choice.draw(which, clock)
        method, values = self.methods[index or 0], None
        if method.pairing.needs:
            values = method.pairing.select(size, labels, inputs)
        shared, own = self._shared.at(clock.step), self._own.at(clock.step)
        world = self._world if cross_rank else None
        point, ratio, partner, draws = method.draw(size, where, clock, shared, own, values, world)
        if index is None:
            first = self._world[0] * size if cross_rank else 0
            ratio, partner = np.ones_like(ratio), np.arange(first, first + size)
        return plan_of(
            point, ratio, partner, draws, blend=method.blend, remix=method.remix,
            permutation=method.pairing.permutation and not cross_rank, skip=index is None,
            cross_rank=cross_rank, dtype=self._dtype,
        )  # fmt: skip

    def reweigh(self, weights: Mapping[str, float]) -> None:
        """Set the weights of the points of the only method; see `PointSampler.reweigh`."""
        method, *others = self.methods
        if others:
            raise InputError(
                "the weights of several methods cannot be changed: build the mixer with one method"
            )
        method.points.reweigh(weights)
        self._forget()

    def drop(self, method: MethodSampler, reasons: Mapping[str, str]) -> None:
        """Stop drawing the points in `reasons` for a method; see `PointSampler.drop`."""
        method.points.drop(reasons)
        self._forget()

    def _forget(self) -> None:
        self._plans: list[Plan] = []
        self._count, self._next_step, self._drawn_for = 0, -1, ()

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch, a whole number >= 0, for schedules by epoch and ratios per epoch."""
        if not is_whole(epoch) or epoch < 0:
            raise InputError(f"the epoch is {brief(epoch)}, but must be a whole number >= 0")
        self.clock.epoch = int(epoch)
        self._draw_epoch()

    def state_dict(self) -> dict[str, Any]:
        """Return seed, step, epoch and states of the methods, as JSON types, equal on all ranks."""
        methods = [method.state_dict() for method in self.methods]
        return {"seed": self._seed, "clock": asdict(self.clock), "methods": methods}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Load the state of a sampler with the same methods."""
        if not {"seed", "clock", "methods"} <= set(state):
            raise InputError(
                f"the state has the keys {sorted(state)}, but a mixer's state has seed, clock "
                "and methods: load the result of state_dict()"
            )
        if (found := len(state["methods"])) != len(self.methods):
            raise InputError(
                f"the state has {found} methods, but this mixer has {len(self.methods)}: build it "
                "with the same methods"
            )
        for method, saved in zip(self.methods, state["methods"], strict=True):
            method.load_state_dict(saved)
        self._seed, self._follows_torch = checked_seed(state["seed"]), False
        self.clock = Clock(**state["clock"])
        self._join()

    def _prepare(self, batch_size: int) -> None:
        """Check the batch size, and adapt to a new process group or epoch."""
        if rank_info() != self._world:
            self._join()
        if self._cross_rank and self._world[1] > 1 and is_whole(batch_size):
            check_even(batch_size)
        check_size(batch_size)
        if any(method.needs_epochs and not method.epoch_ratios for method in self.methods):
            self._draw_epoch()
        step = self.clock.step
        if self._by_epoch and self.clock.epoch is None and step >= _PATIENCE:
            warn(
                f"{step} steps were drawn, but {' and '.join(self._by_epoch)} depends on the "
                "epoch: call mixer.set_epoch(epoch) at the start of each epoch"
            )
            self._by_epoch = []

    def _join(self) -> None:
        """Create the generators of this rank, again if a process group was created later."""
        self._world = rank_info()
        if self._follows_torch:
            self._seed = from_first(self._seed)
        rank = self._world[0] if self._given_rank is None else self._given_rank
        rank = 0 if self._cross_rank else rank  # drawn for the joined batch, and cut
        self._shared, self._own = StepGenerator(self._seed, 0), StepGenerator(self._seed, 1, rank)
        self._forget()

    def _draw_epoch(self) -> None:
        self._forget()
        rng = StepGenerator(self._seed, 2).at(self.clock.epoch or 0)
        for method in self.methods:
            method.draw_epoch(self.clock, rng)
