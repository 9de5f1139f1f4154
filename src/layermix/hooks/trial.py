"""Can a plan mix what passes a mix point? Tried on a tensor that has a shape and no numbers."""

from collections.abc import Sequence

import torch

from layermix.errors import InputError
from layermix.mixing import Plan


def refusal(plan: Plan, example: Sequence[int], channels: int | None) -> str | None:
    """Return why a plan for two examples cannot mix activations of a shape, or None when it can.

    Parameters
    ----------
    plan
        A plan for two examples.
    example
        Shape of one of them.
    channels
        Which dimension has the channels, counted with the batch; 1 where it is not known.
    """
    try:
        plan.to("meta").carry_out(torch.empty(2, *example, device="meta"), channels or 1)
    except InputError as error:
        return str(error)
    return None
