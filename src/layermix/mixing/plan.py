"""The plan: one immutable draw of (mix point, ratio, partner, blend), made before the forward."""

from dataclasses import dataclass

import torch
from torch import Tensor

from layermix.errors import InputError
from layermix.mixing.target import MixedTarget


@dataclass(frozen=True, eq=False)
class Plan:
    """What one step mixes, and how.

    Example i of the batch becomes ``ratio[i] * a[i] + (1 - ratio[i]) * a[partner[i]]`` where `a`
    is the activation at the mix point; its label is mixed by the same numbers.

    Attributes
    ----------
    point
        Name of the mix point: ``"input"``, a module path, ``"final"`` or ``"logits"``.
    ratio
        Weight of the first example, in [0, 1]; float tensor of shape () (the whole batch) or
        (B,) (each example its own).
    partner
        Who is mixed with whom; int64 tensor of shape (B,).
    blend
        How two activations become one: the name of a blend.
    """

    point: str
    ratio: Tensor
    partner: Tensor
    blend: str = "linear"

    def __post_init__(self) -> None:
        if self.partner.dtype != torch.int64 or self.partner.ndim != 1:
            raise InputError(
                "partner must be an int64 tensor of shape (B,), but it is "
                f"{self.partner.dtype} of shape {tuple(self.partner.shape)}"
            )
        if not self.ratio.is_floating_point() or self.ratio.shape not in (
            torch.Size([]),
            self.partner.shape,
        ):
            raise InputError(
                f"ratio must be a float tensor of shape () or ({self.batch_size},), but it is "
                f"{self.ratio.dtype} of shape {tuple(self.ratio.shape)}"
            )

    @property
    def batch_size(self) -> int:
        """The number of examples B that the plan was drawn for."""
        return self.partner.shape[0]

    def target(self, labels: Tensor) -> MixedTarget:
        """Mix labels, a tensor of shape (B, ...), by this plan."""
        if not isinstance(labels, Tensor):
            raise InputError(
                f"the labels are a {type(labels).__name__}, but must be a tensor: "
                "torch.as_tensor(labels)"
            )
        if labels.ndim == 0 or labels.shape[0] != self.batch_size:
            raise InputError(
                f"the labels have shape {tuple(labels.shape)}, but the plan was drawn for a "
                f"batch of {self.batch_size}: draw a plan for each batch"
            )
        return MixedTarget(labels, labels[self.partner], self.ratio)

    def to(self, device: torch.device | str) -> "Plan":
        """Return the same plan with its tensors on `device`."""
        return Plan(self.point, self.ratio.to(device), self.partner.to(device), self.blend)
