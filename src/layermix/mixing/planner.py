"""The planner draws plans: when, where, how much, with whom and how, from a seed of its own.

Each question of each step has its own random stream (`streams.py`), so that the choice of the mix
point does not shift the partners, and two planners of one seed draw the same partners whatever
points they mix. Under data parallel training all ranks share when, points and ratios per batch or
per epoch, and each rank has its own partners, ratios per sample and what a blend draws.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from layermix.errors import InputError, brief
from layermix.mixing import settings
from layermix.mixing.ahead import Ahead, Drawn, plans_of
from layermix.mixing.blends import Blend, find_blend
from layermix.mixing.choice import Choice, Weights
from layermix.mixing.partners import Pairing, find_pairing
from layermix.mixing.plan import Plan
from layermix.mixing.ranks import check_even, place
from layermix.mixing.ratio import Amount, Per
from layermix.mixing.schedule import Clock, Schedule, ends_of
from layermix.mixing.streams import Streams, seed_of
from layermix.mixing.targets import Remix


class Planner:
    """Draws one `Plan` after another.

    Parameters
    ----------
    points
        Names of the mix points; each plan takes one of them.
    weights
        Relative probability of each point, or a schedule of them; equal when left out.
    alpha
        Ratios come from Beta(alpha, alpha): a number or a schedule. Left out: 1 at the input, 2
        elsewhere, or the ratio that a blend declares as usual.
    ratio
        Instead of alpha: a fixed ratio in [0, 1], or ``"uniform"``.
    per
        Draw a ratio per ``"batch"``, per ``"sample"`` or per ``"epoch"`` (see `next_epoch`).
    blend
        How two activations become one: a name in `BLENDS`, or a `Blend`.
    partner
        Who is mixed with whom: a name in `PARTNERS`, or a `Pairing`.
    probability
        That a step is mixed at all, in [0, 1]: a number or a schedule. A step that is not has
        ratio 1 and itself for partner.
    remix
        How the weight of labels depends on how frequent their classes are.
    seed
        Seed, or a generator from which a seed is taken.
    rank
        Rank of this process in data parallel training; that of `torch.distributed` when left out.
    ranks
        How many processes partners are taken from: 1 for those of this one alone, None for all.

    Raises
    ------
    InputError
        For a setting that cannot be, or one of ratios and partners beside a blend that has neither.

    Attributes
    ----------
    choice
        The mix points with their weights, which may be changed on the way.
    clock
        Steps and epochs so far.
    """

    def __init__(
        self,
        points: Sequence[str],
        *,
        weights: Weights = None,
        alpha: float | Schedule | None = None,
        ratio: float | Literal["uniform"] | None = None,
        per: Per = "batch",
        blend: str | Blend = "linear",
        partner: str | Pairing = "permutation",
        probability: float | Schedule = 1.0,
        remix: Remix | None = None,
        seed: int | np.random.Generator = 0,
        rank: int | None = None,
        ranks: int | None = 1,
    ) -> None:
        self.choice = Choice(points, weights)
        self.blend, self._blend = blend, find_blend(blend)
        usual = self._blend.usual if alpha is None and ratio is None else ratio
        self._amount = Amount(points, alpha, usual, per)
        self.pairing = find_pairing(partner)
        if ranks != 1 and self.pairing.needs:
            raise InputError(
                f"partner {brief(partner)} looks at the {self.pairing.needs} of one process, so it "
                "cannot go across ranks: use 'permutation' or 'derangement'"
            )
        law = {"alpha": alpha, "ratio": ratio, "per": per}
        pairs = {"partner": self.pairing, "remix": remix, "ranks": ranks}
        settings.refuse_ignored(self._blend, {**law, **pairs})
        changing = settings.by_epoch(**law, probability=probability, weights=weights)
        self._reminder = settings.EpochReminder(changing) if changing else None
        settings.check_remix(remix)
        self._probability, self._remix = probability, remix
        self._streams = Streams(seed, rank, ranks)
        self.clock = Clock()
        for end in ends_of(probability):
            settings.chance(end, self.clock)
        scheduled = any(isinstance(each, Schedule) for each in (alpha, probability, weights))
        free = not (scheduled or self.pairing.needs or self._blend.grows)
        self._ahead = Ahead() if free else None

    @property
    def points(self) -> tuple[str, ...]:
        """The mix points that plans can take."""
        return self.choice.points

    @property
    def per(self) -> Per:
        """What a ratio is drawn for."""
        return self._amount.per

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

        Parameters
        ----------
        batch_size
            The number of examples B.
        device
            Where its tensors shall be.
        labels, inputs
            Of the batch, (B, ...), for partners that are chosen by them.
        dtype
            Dtype of the ratio: float64, or float32 for any other. Default: torch's default dtype.

        Raises
        ------
        InputError
            For an empty batch, without the labels or inputs that partners are chosen by, or on all
            ranks where partners are on all of them and their batches differ in size.

        Warns
        -----
        UserWarning
            Once, if a setting depends on epochs and `next_epoch` was never called: when a larger
            batch follows the last one of an epoch, at the latest after 10 steps.
        """
        rank, ranks = self._streams.locate()
        settings.check_size(batch_size)
        if ranks > 1 and ranks == place()[1]:
            check_even(batch_size)
        dtype = dtype or torch.get_default_dtype()
        if batch_size < 1:
            raise InputError(f"cannot draw a plan for a batch of {batch_size} examples")
        if self._reminder and not self.clock.begun:
            self._reminder.after(self.clock.step, batch_size)
        if self._ahead is None:
            of_batch = {"labels": labels, "inputs": inputs}
            (plan,) = self._plans([self._drawn(self.clock, batch_size, of_batch)], device, dtype)
        else:
            now = batch_size, device, dtype, rank, ranks, self.choice.weights
            plan = self._ahead.take(self.clock.step, now, self._several)
        self.clock.step += 1
        return plan

    def _several(
        self, count: int, batch_size: int, device: torch.device | str, dtype: torch.dtype
    ) -> list[Plan]:
        """Draw the plans of the next steps."""
        step, epoch, begun = self.clock.step, self.clock.epoch, self.clock.begun
        clocks = (Clock(step + k, epoch, begun) for k in range(count))
        return self._plans([self._drawn(clock, batch_size, {}) for clock in clocks], device, dtype)

    def _plans(
        self, drawn: list[Drawn], device: torch.device | str, dtype: torch.dtype
    ) -> list[Plan]:
        across = self._streams.ranks > 1
        return plans_of(drawn, device, dtype, across, blend=self.blend, remix=self._remix)

    def _drawn(self, clock: Clock, size: int, of_batch: Mapping[str, Any]) -> Drawn:
        """Draw what the plan of a step is made of."""
        streams, step = self._streams, clock.step
        chance = settings.chance(self._probability, clock)
        mixed = chance == 1 or streams.of("when", step).random() < chance
        several = len(self.choice.points) > 1
        point = self.choice.draw(streams.of("point", step) if several else None, clock)
        ratio = self._amount.draw(point, size, streams, clock)
        partner = self._partner(step, size, of_batch)
        draws = {}
        if type(self._blend).draw is not Blend.draw:
            draws = self._blend.draw(streams.of("blend", step), ratio.shape, size)
        if not mixed:
            first = streams.rank * size if streams.ranks > 1 else 0
            ratio, partner = np.ones_like(ratio), np.arange(first, first + size)
        return Drawn(point, ratio, partner, draws, still=not mixed)

    def next_epoch(self) -> None:
        """Begin an epoch: schedules by epoch go on, and ratios per epoch are drawn."""
        if self.per == "epoch":
            self._forget()
        self.clock.next_epoch()
        self._amount.next_epoch(self._streams, self.clock)

    def state_dict(self) -> dict[str, Any]:
        """Return seed, clock, weights and the epoch's ratios: the same on all ranks, and JSON."""
        return {
            "seed": self._streams.seed,
            "epoch_ratios": dict(self._amount.of_epoch),
            "choice": self.choice.state_dict(),
            "clock": asdict(self.clock),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue exactly where the planner that gave `state` had stopped.

        Raises
        ------
        InputError
            For what is no state of a planner, or that of one with other mix points.
        """
        if {"seed", "epoch_ratios", "choice", "clock"} - set(state):
            raise InputError(
                f"this is not the state of a planner: it has the keys {sorted(state)}. "
                "Load what state_dict() returned"
            )
        self._forget()
        self.choice.load_state_dict(state["choice"])
        self._streams.seed = seed_of(state["seed"])
        self._amount.of_epoch = dict(state["epoch_ratios"])
        self.clock = Clock(**state["clock"])

    def _forget(self) -> None:
        """Draw anew what was drawn ahead."""
        if self._ahead is not None:
            self._ahead = Ahead()

    def _partner(self, step: int, size: int, of_batch: Mapping[str, Any]) -> np.ndarray:
        """Draw the partners of the batch, int64 (B,)."""
        rng, ranks = self._streams.of("partner", step), self._streams.ranks
        if ranks > 1:
            return self.pairing(rng, ranks * size, None).reshape(ranks, size)[self._streams.rank]
        return self.pairing(rng, size, self.pairing.look(of_batch, size))
