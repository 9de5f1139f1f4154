"""Further tensors of one activation: what comes with the main one is mixed as that was.

The states of a recurrent layer beside its output, maps of several sizes, heads as rows of a batch.
A blend that cuts takes the same positions of all of them.
"""

from dataclasses import replace

import torch
from torch import Tensor

from layermix.errors import InputError
from layermix.mixing.blends.arrays import fitted, masked
from layermix.mixing.plan import Plan
from layermix.mixing.precision import full_precision


def follow(x: Tensor, plan: Plan, point: str, channels: int = 1) -> Tensor:
    """Mix a further tensor as the main one was mixed at a point, which was noted on the plan.

    Parameters
    ----------
    x
        Floating-point tensor (B, ...).
    plan
        The plan that mixed the main tensor.
    point
        Where that was.
    channels
        Which dimension of `x` has the channels.

    Raises
    ------
    InputError
        For a tensor whose positions are not those of the main one; maps may have another size.
    """
    if plan.still or not plan.how.local:
        return plan.carry_out(x, channels).values
    plan.check(x)
    mask = plan.left[point][1] if point in plan.left else None
    mask = None if mask is None or plan.how.moves else fitted(mask, x, channels)
    if mask is None:
        raise InputError(
            f"the blend {plan.blend!r} tells positions apart, but several tensors come with one "
            f"another here, and one of shape {tuple(x.shape)} does not have the positions of the "
            "first: mix with blend='linear', or after a module that returns one tensor"
        )
    with full_precision(x):
        return masked(x, plan.of_partners(x), mask, channels)


def grouped(plan: Plan, size: int) -> Plan:
    """Return a plan for tensors with `size` rows for each example, one after another."""
    each = torch.arange(size, device=plan.partner.device)
    partner = (plan.partner[:, None] * size + each).flatten()
    ratio, draws = plan.pairs.ratio, plan.draws
    if ratio.ndim:
        ratio = ratio.repeat_interleave(size)
        draws = {name: value.repeat_interleave(size, 0) for name, value in draws.items()}
    many = replace(plan, ratio=ratio, partner=partner, draws=draws)
    for point, (weight, mask) in plan.left.items():
        rows = None if mask is None else mask.repeat_interleave(size if len(mask) > 1 else 1, 0)
        many.left[point] = weight, rows
    return many
