"""Functions that mix tensors without a model."""

from collections.abc import Mapping, Sequence
from typing import overload

import torch
from torch import Tensor, nn

from layermix.errors import InputError, brief
from layermix.mixing import MethodSampler, Plan, PlanSampler, Target, Targets, interpolate
from layermix.mixing.tensors import float64_on


def mixup(
    x: Tensor, y: Tensor, alpha: float = 1.0, *, generator: torch.Generator | None = None
) -> tuple[Tensor, Target]:
    """Mix a batch with a random permutation of itself, with one ratio from Beta(alpha, alpha).

    This is the mixup of Zhang et al. (2018). `Mixer` mixes at any layer and with other methods.

    Parameters
    ----------
    x, y
        Floating-point tensor (B, ...), which is not changed, and labels (B, ...).
    alpha
        Parameter of the Beta distribution, > 0; 1 is the uniform distribution.
    generator
        Random generator, from which one number is drawn. None uses a private generator, seeded with
        `torch.initial_seed()` whenever that changes; the global generator is not changed.

    Returns
    -------
    mixed, target
        ``ratio * x + (1 - ratio) * x[partner]``, and the mixed labels with their loss and metrics.

    Raises
    ------
    InputError
        If `x` is not floating point, `y` has another batch size, or `alpha` is invalid.

    Examples
    --------
    >>> import torch
    >>> x, y = torch.randn(8, 3, 4, 4), torch.randint(10, (8,))
    >>> mixed, target = mixup(x, y, alpha=0.2)
    >>> mixed.shape, target.dense(num_classes=10).shape
    (torch.Size([8, 3, 4, 4]), torch.Size([8, 10]))
    """
    generator = _private_generator() if generator is None else generator
    seed = torch.randint(2**62, (), generator=generator, device=generator.device)
    sampler = PlanSampler([MethodSampler(["input"], alpha=alpha)], seed=int(seed))
    if not isinstance(x, Tensor) or x.ndim == 0:
        raise InputError(f"cannot mix {brief(x)}: x must be a tensor of shape (B, ...)")
    return mix(x, sampler.draw(len(x), x.device, dtype=x.dtype), y)


@overload
def mix(x: Tensor, plan: Plan, labels: None = None, *, channels: int = 1) -> Tensor: ...
@overload
def mix(x: Tensor, plan: Plan, labels: Tensor, *, channels: int = 1) -> tuple[Tensor, Target]: ...
@overload
def mix(
    x: Tensor, plan: Plan, labels: Mapping[str, Tensor], *, channels: int = 1
) -> tuple[Tensor, Targets]: ...
def mix(
    x: Tensor,
    plan: Plan,
    labels: Tensor | Mapping[str, Tensor] | None = None,
    *,
    channels: int = 1,
) -> Tensor | tuple[Tensor, Target | Targets]:
    """Apply a plan to a tensor, and to labels if they are given.

    Parameters
    ----------
    x
        Floating-point tensor (B, ...), with the batch size of the plan; it is not changed.
    plan
        The plan to apply; its tensors must be on the device of `x`.
    labels
        Labels (B, ...), or a mapping of several such tensors.
    channels
        Channel dimension of `x`, for blends that distinguish channels from positions: 1 for feature
        maps (B, C, H, W), -1 for tokens (B, L, C).

    Returns
    -------
    mixed, or mixed and target
        Tensor with the shape, dtype and memory format of `x`, but with more rows if the blend
        returns more than B examples; and the target, if labels are given.

    Raises
    ------
    InputError
        If `x` is not floating point (for example token ids or uint8 images), its batch size differs
        from the plan's, the blend cannot mix its shape, or `plan` is not a `Plan`.

    Examples
    --------
    >>> import torch, layermix as lm
    >>> plan = lm.Plan("input", ratio=torch.tensor(0.25), partner=torch.tensor([1, 0]))
    >>> mix(torch.tensor([[0.0], [4.0]]), plan)
    tensor([[3.],
            [1.]])
    """
    if not isinstance(plan, Plan):
        raise InputError(
            f"the plan is {brief(plan)}, but must be drawn by mixer.draw(len(x)). Without a plan, "
            "lm.mixup(x, y, alpha) draws the ratio, and lm.MixLayer()(x1, x2, ratio) takes one"
        )
    blended = plan.mix(x, channels)
    if labels is None:
        return blended.values
    return blended.values, plan.target(labels, blended.label_weights)


def obstacle(plan: Plan, example: Sequence[int], channels: int | None = None) -> str | None:
    """Return an error message if the plan cannot mix activations of the given shape, else None.

    The plan runs on the meta device. `example` is the shape without the batch dimension, `channels`
    the channel dimension with it.
    """
    try:
        plan.to("meta").mix(torch.empty(plan.batch_size, *example, device="meta"), channels or 1)
    except InputError as error:
        return str(error)
    return None


class MixLayer(nn.Module):
    """Layer that mixes two inputs: it returns ``ratio * x1 + (1 - ratio) * x2``.

    Examples
    --------
    >>> import torch
    >>> MixLayer()(torch.ones(2, 3), torch.zeros(2, 3), torch.tensor([0.25, 1.0]))
    tensor([[0.2500, 0.2500, 0.2500],
            [1.0000, 1.0000, 1.0000]])
    """

    def forward(self, x1: Tensor, x2: Tensor, ratio: Tensor | float) -> Tensor:
        """Mix `x1` and `x2`, both (B, ...), with `ratio`: a number, or a tensor () or (B,)."""
        if x1.shape != x2.shape:
            raise InputError(
                f"x1 and x2 must have the same shape, but have {tuple(x1.shape)} and "
                f"{tuple(x2.shape)}"
            )
        dtype = None if isinstance(ratio, Tensor) else float64_on(x1.device)
        return interpolate(x1, x2, torch.as_tensor(ratio, dtype=dtype, device=x1.device))


_PRIVATE: dict[int, torch.Generator] = {}  # one generator, by torch's current seed


def _private_generator() -> torch.Generator:
    seed = torch.initial_seed()
    if seed not in _PRIVATE:
        _PRIVATE.clear()
        _PRIVATE[seed] = torch.Generator().manual_seed(seed)
    return _PRIVATE[seed]
