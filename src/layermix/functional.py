"""A plan carried out on a tensor, and the plain mixup layer."""

import torch
from torch import Tensor, nn

from layermix.errors import InputError, brief
from layermix.mixing.blends import interpolate
from layermix.mixing.device import precise
from layermix.mixing.plan import Plan


def mix(x: Tensor, plan: Plan, channels: int = 1) -> Tensor:
    """Apply a plan to a tensor; `x` itself is not changed.

    Of a blend that cuts, the plan notes how much of each example was really left, and of several
    tensors that are mixed by one plan the first counts: ``plan.target(labels)`` then weighs the
    labels so.

    Parameters
    ----------
    x
        Floating-point tensor of shape (B, ...), batch first, B as in the plan.
    plan
        The draw to carry out; its tensors must be on the device of `x`.
    channels
        Which dimension of `x` has the channels, for blends that tell them from positions: 1 for
        maps (B, C, H, W), -1 for tokens (B, L, C).

    Returns
    -------
    Tensor
        Mixed tensor with the shape, dtype and memory format of `x`; of a blend that mixes more
        than B examples, with more rows.

    Raises
    ------
    InputError
        When `x` is not floating point (token ids, uint8 images), has another batch size than the
        plan or a shape that the blend cannot mix, or the plan names an unknown blend.
    """
    if not isinstance(plan, Plan):
        raise InputError(f"the plan is {brief(plan)}, but must be drawn: mixer.draw(len(x))")
    blended = plan.carry_out(x, channels)
    plan.note(plan.point, blended)
    return blended.values


class MixLayer(nn.Module):
    """The plain mixup layer: two inputs and a ratio in, ``ratio*x1 + (1-ratio)*x2`` out.

    Examples
    --------
    >>> import torch
    >>> MixLayer()(torch.ones(2, 3), torch.zeros(2, 3), torch.tensor([0.25, 1.0]))
    tensor([[0.2500, 0.2500, 0.2500],
            [1.0000, 1.0000, 1.0000]])
    """

    def forward(self, x1: Tensor, x2: Tensor, ratio: Tensor | float) -> Tensor:
        """Mix `x1` and `x2`, both (B, ...), by `ratio`: a number, or a tensor () or (B,)."""
        if x1.shape != x2.shape:
            raise InputError(
                f"x1 and x2 must have the same shape, but have {tuple(x1.shape)} and "
                f"{tuple(x2.shape)}"
            )
        dtype = None if isinstance(ratio, Tensor) else precise(x1.device)
        return interpolate(x1, x2, torch.as_tensor(ratio, dtype=dtype, device=x1.device))
