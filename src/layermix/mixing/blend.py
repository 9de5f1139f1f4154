"""How: two activations become one.

The linear blend of mixup (Zhang et al., 2018) and Manifold Mixup (Verma et al., 2019):
``lam * x + (1 - lam) * x[partner]``. A blend is a pure function ``(x, plan) -> mixed x`` and one
line in `BLENDS`.

Shapes: B batch; `...` any further dimensions; lam is () or (B,).
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from layermix.errors import InputError, unknown
from layermix.mixing.plan import Plan


def interpolate(x1: Tensor, x2: Tensor, ratio: Tensor) -> Tensor:
    """Return ``ratio * x1 + (1 - ratio) * x2`` in the dtype and memory format of `x1`.

    Parameters
    ----------
    x1, x2
        Floating-point tensors of the same shape (B, ...).
    ratio
        Weight of `x1`: shape () or (B,).
    """
    # 1 - ratio is taken before the cast, so that it keeps its digits in bf16 and fp16.
    weight = (1 - ratio.to(torch.promote_types(ratio.dtype, x1.dtype))).to(x1.dtype)
    if weight.ndim == 1:
        weight = weight.view(-1, *[1] * (x1.ndim - 1))  # (B, 1, ..., 1)
    return torch.lerp(x1, x2, weight)


def linear(x: Tensor, plan: Plan) -> Tensor:
    """Mix each example with its partner: the blend of mixup and Manifold Mixup."""
    return interpolate(x, x[plan.partner], plan.ratio)


BLENDS: dict[str, Callable[[Tensor, Plan], Tensor]] = {"linear": linear}


def mix(x: Tensor, plan: Plan) -> Tensor:
    """Apply a plan to a tensor; `x` itself is not changed.

    Parameters
    ----------
    x
        Floating-point tensor of shape (B, ...), batch first, B as in the plan.
    plan
        The draw to carry out; its tensors must be on the device of `x`.

    Returns
    -------
    Tensor
        Mixed tensor with the shape, dtype and memory format of `x`.

    Raises
    ------
    InputError
        When `x` is not floating point (token ids, uint8 images), has another batch size than the
        plan, or the plan names an unknown blend.
    """
    if not x.is_floating_point():
        raise InputError(
            f"cannot mix a tensor of dtype {x.dtype} and shape {tuple(x.shape)}: mixing needs "
            "floating point. Convert images with .float(); mix token ids after their embedding"
        )
    if x.ndim == 0 or x.shape[0] != plan.batch_size:
        raise InputError(
            f"cannot mix a tensor of shape {tuple(x.shape)} by a plan drawn for a batch of "
            f"{plan.batch_size}: the first dimension must be the batch"
        )
    if plan.blend not in BLENDS:
        raise unknown("blend", plan.blend, BLENDS)
    return BLENDS[plan.blend](x, plan)


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
        return interpolate(x1, x2, torch.as_tensor(ratio, device=x1.device))
