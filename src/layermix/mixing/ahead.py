"""Plans drawn ahead: those of the next steps at once, each as it would have been drawn alone.

Between the steps of a net the code that draws a plan has left the processor's caches, which makes
it ten times as slow as one draw after another. As each step has random streams of its own, plans
can be drawn before they are asked for wherever nothing is looked at that may change until then:
labels, inputs, the value of a schedule. They also go to a device together.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from layermix.mixing.blends.bags import Bags, bags_of
from layermix.mixing.blends.pairs import Pairs, check_partner, inverse_of
from layermix.mixing.device import moved
from layermix.mixing.plan import Plan

_MOST = 64  # plans at once; twice as many each time, so that few are drawn in vain


class Ahead:
    """The plans of the next steps."""

    def __init__(self) -> None:
        self._plans: list[Plan] = []  # the next one is the last
        self._next, self._drawn = 0, 0  # its step, and how many were drawn with it
        self._setting: tuple[Any, ...] = ()

    def take(self, step: int, setting: tuple[Any, ...], draw: Callable[..., list[Plan]]) -> Plan:
        """Return the plan of a step.

        Parameters
        ----------
        step
            Which.
        setting
            What the plan depends on: batch size, device, dtype, and whatever else may change.
        draw
            Returns the plans of the next steps, given their number, batch size, device and dtype.
        """
        if step != self._next or setting != self._setting:
            self._plans, self._drawn, self._setting = [], 0, setting
        if not self._plans:
            self._drawn = min(_MOST, 2 * self._drawn) or 1
            self._plans = draw(self._drawn, *setting[:3])[::-1]
        self._next = step + 1
        return self._plans.pop()


class Drawn(NamedTuple):
    """What the plan of one step is made of: point, ratio () or (B,), partner (B,), the rest."""

    point: str
    ratio: np.ndarray
    partner: np.ndarray
    draws: dict[str, np.ndarray]
    still: bool


def plans_of(
    drawn: Sequence[Drawn],
    device: torch.device | str,
    dtype: torch.dtype,
    across: bool,
    **same: Any,
) -> list[Plan]:
    """Return the plans of several draws for batches of one size, on a device.

    Parameters
    ----------
    drawn
        What was drawn for each.
    device
        Where their tensors shall be.
    dtype
        Dtype of the ratios: float64, or float32 for any other dtype.
    across
        Whether partners are on all ranks.
    same
        Further settings of all plans.
    """
    return [
        Plan(
            each.point, pairs.ratio, pairs.partner, draws=draws, across=across, still=each.still,
            ready=pairs, **same,
        )
        for each, pairs, draws in zip(
            drawn, _pairs(drawn, device, dtype, across), _draws(drawn, device), strict=True
        )
    ]  # fmt: skip


def _pairs(
    drawn: Sequence[Drawn], device: torch.device | str, dtype: torch.dtype, across: bool
) -> list[Pairs]:
    """Return the pairs of each plan, with what its mix and its gradient need.

    At the input of a net on the CPU that is the mix alone: hardly anybody asks for a gradient
    there, and then the inverse of the partners is looked for.
    """
    precision = np.float64 if dtype == torch.float64 else np.float32
    ratio = torch.from_numpy(np.array([each.ratio for each in drawn], precision))
    partner = np.stack([each.partner for each in drawn]).astype(np.int64, copy=False)
    partner = torch.from_numpy(partner)
    on_cpu = torch.device(device).type == "cpu"
    sought = not on_cpu or any(each.point != "input" for each in drawn)
    inverse, bags = None, [{} for _ in drawn]
    if not across:
        check_partner(partner)
        if sought:
            inverse = inverse_of(partner)
        if on_cpu:
            bags = _bags(ratio, partner, inverse)
    single = ratio.float()  # the least precision of a mix
    partial = ((single > 0) & (single < 1)).view(len(drawn), -1).all(1).tolist()
    each = ratio.ndim > 1
    several = Pairs(ratio.view(len(drawn), -1), partner, inverse).to(device)
    inverses = [None] * len(drawn) if several.inverse is None else several.inverse.unbind()
    columns = several.rows.unbind(), several.partner.unbind(), inverses, bags, partial
    return [
        Pairs(rows, second, back, bag, sought, known, each)
        for rows, second, back, bag, known in zip(*columns, strict=True)
    ]


def _bags(ratio: Tensor, partner: Tensor, inverse: Tensor | None) -> list[dict[bool, Bags]]:
    """Return the bags of each plan; those of the gradient where the inverse is known."""
    forward = bags_of(ratio, partner, back=False).each()
    if inverse is None:
        return [{False: bags} for bags in forward]
    both = zip(forward, bags_of(ratio, inverse, back=True).each(), strict=True)
    return [{False: bags, True: back} for bags, back in both]


def _draws(drawn: Sequence[Drawn], device: torch.device | str) -> list[dict[str, Tensor]]:
    """Return what the blend drew for each plan; what has one shape goes to the device together."""
    if not any(each.draws for each in drawn):
        return [{} for _ in drawn]
    shapes = [{name: np.shape(value) for name, value in each.draws.items()} for each in drawn]
    if any(each != shapes[0] for each in shapes):
        return [
            {
                name: moved(torch.from_numpy(np.asarray(value)), device)
                for name, value in each.draws.items()
            }
            for each in drawn
        ]
    together = {
        name: moved(torch.from_numpy(np.stack([each.draws[name] for each in drawn])), device)
        for name in drawn[0].draws
    }
    return [{name: value[k] for name, value in together.items()} for k in range(len(drawn))]
