"""The plan of a training step: where to mix, the ratio, the partners and the blend."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, overload

import torch
from torch import Tensor

from layermix.errors import InputError, RunError
from layermix.mixing.blends import AppendClean, Blend, Blended, LabelWeights, find_blend
from layermix.mixing.blends.base import RatioBlend, check_blended, mix_error
from layermix.mixing.distributed import gathered
from layermix.mixing.pairs import Pairs, checked_pairs
from layermix.mixing.targets import (
    AppendCleanTarget,
    MixedTarget,
    MultiMixTarget,
    Remix,
    Target,
    Targets,
)
from layermix.mixing.targets.label_checks import check_labels
from layermix.mixing.targets.weighting import check_no_positions, ratio_of
from layermix.mixing.tensors import moved, without_autocast


@dataclass(frozen=True, eq=False)
class Plan:
    """An immutable description of how one step mixes: mix point, ratio, partners and blend.

    Example i of the batch becomes ``ratio[i] * a[i] + (1 - ratio[i]) * a[partner[i]]``, where `a`
    is the activation at the mix point, or the result of another blend. Its label is mixed with the
    same weights, or with the area shares of a blend that cuts.

    Attributes
    ----------
    point
        Name of the mix point: ``"input"``, a module path, ``"final"`` or ``"logits"``.
    ratio
        Weight of each example, in [0, 1]; float tensor of shape () or (B,).
    partner
        Index of each example's partner; int64 tensor of shape (B,).
    blend, draws
        A `Blend` or its name, and the random numbers that its `draw` returns, as tensors.
    remix
        Changes the label weights by class frequency; see `Remix`.
    cross_rank
        True if partners come from all ranks of data parallel training; they index the joined batch.
    skip
        True if nothing is mixed in this step.
    pairs
        Ratio and partners in the form that blends use.

    Raises
    ------
    InputError
        If `ratio` or `partner` has another shape or dtype, or if a partner is not in the batch,
        which is checked on the CPU only.

    Examples
    --------
    >>> import torch
    >>> plan = Plan("final", ratio=torch.tensor(0.75), partner=torch.tensor([1, 0]))
    >>> plan.mix(torch.tensor([[0.0], [1.0]])).values
    tensor([[0.2500],
            [0.7500]])
    >>> plan.target(torch.tensor([0, 1])).dense(num_classes=2)
    tensor([[0.7500, 0.2500],
            [0.2500, 0.7500]])
    """

    point: str
    ratio: Tensor
    partner: Tensor
    blend: Blend
    draws: Mapping[str, Tensor]
    remix: Remix | None
    cross_rank: bool
    skip: bool
    pairs: Pairs = field(init=False, repr=False)

    def __init__(
        self,
        point: str,
        ratio: Tensor,
        partner: Tensor,
        blend: str | Blend = "linear",
        draws: Mapping[str, Tensor] | None = None,
        remix: Remix | None = None,
        cross_rank: bool = False,
        skip: bool = False,
    ) -> None:
        vars(self).update(
            point=point,
            ratio=ratio,
            partner=partner,
            blend=find_blend(blend),
            draws=draws or {},
            remix=remix,
            cross_rank=cross_rank,
            skip=skip,
            pairs=checked_pairs(ratio, partner, cross_rank),
        )

    @property
    def batch_size(self) -> int:
        """The number of examples B."""
        return self.partner.shape[0]

    def mix(self, x: Tensor, channels: int = 1) -> Blended:
        """Mix an activation; the input tensor is not modified.

        Parameters
        ----------
        x, channels
            Floating-point tensor (B, ...), and the dimension of its channels: 1 for maps, -1 for
            tokens.

        Returns
        -------
        Blended
            The mixed values and the label weights. Errors are those of `layermix.mix`.
        """
        fits = isinstance(x, Tensor) and x.shape[:1] == self.partner.shape
        if not (fits and x.is_floating_point()):
            raise mix_error(x, self.batch_size)
        if self.skip:
            return Blended(x, self.ratio)
        try:
            with without_autocast(x):
                if not self.cross_rank:
                    blended = self.blend.mix_batch(x, self.pairs, self.draws, channels)
                else:
                    ratio, other = self.pairs.view, self.of_partners(x)
                    blended = self.blend(x, other, ratio, self.draws, channels)
        except KeyError as error:
            raise InputError(
                f"the plan has no draws named {error}, which the blend {self.blend!r} needs: draw "
                "the plan with a mixer, or pass the result of the blend's draw()"
            ) from None
        if type(blended) is not Blended or blended.values.shape != x.shape:
            check_blended(self.blend, x, blended)
        return blended

    def of_partners(self, x: Tensor) -> Tensor:
        """Return the row of each example's partner in a tensor (B, ...)."""
        everyone = gathered(x) if self.cross_rank else x
        if everyone.device != self.partner.device:
            return everyone[self.partner]
        return everyone.index_select(0, self.partner)

    @overload
    def target(self, labels: Tensor, weights: LabelWeights | None = None) -> Target: ...
    @overload
    def target(
        self, labels: Mapping[str, Tensor], weights: LabelWeights | None = None
    ) -> Targets: ...
    def target(
        self, labels: Tensor | Mapping[str, Tensor], weights: LabelWeights | None = None
    ) -> Target | Targets:
        """Return the mixed labels: a `MixedTarget`, or another target if the batch size changes.

        Parameters
        ----------
        labels
            Tensor of shape (B, ...), or a mapping of several such tensors.
        weights
            The label weights after mixing, for blends that cut: ``plan.mix(x).label_weights``.

        Raises
        ------
        InputError, RunError
            If the labels do not fit the batch or the mixed positions, or if the blend needs
            `weights` and they are missing.
        """
        if isinstance(labels, Mapping):
            return Targets({name: self.target(one, weights) for name, one in labels.items()})
        if not isinstance(labels, Tensor) or labels.shape[:1] != self.partner.shape:
            check_labels(labels, self.batch_size)
        if self.skip:
            return MixedTarget.clean(labels)
        weight, mask = self.ratio, None
        if not isinstance(self.blend, RatioBlend):
            weight = self.blend.weight(self.ratio, self.draws)
        if weight is None:
            weight, mask = self._measured(weights)
        if weight.ndim == 2:
            return MultiMixTarget(labels, weight)
        if self.blend.moves_positions:
            check_no_positions(labels, self.blend)
        theirs = self.of_partners(labels)
        ratio = weight if mask is None else ratio_of(weight, mask, labels)
        if self.remix is not None:
            ratio = self.remix(ratio, labels, theirs)
        pairs = None if self.cross_rank or ratio.ndim > 1 else self.pairs.weighted(ratio)
        mixed = MixedTarget(labels, theirs, ratio, self.of_partners, pairs)
        if isinstance(self.blend, AppendClean):
            return AppendCleanTarget(MixedTarget.clean(labels), mixed, self.blend.eta)
        return mixed

    def _measured(self, weights: LabelWeights | None) -> LabelWeights:
        if weights is None:
            raise RunError(
                f"the label weights of the blend {self.blend!r} exist only after mixing: use "
                "mixed, target = lm.mix(x, plan, labels), or mixed.target(labels) after `with "
                "mixer.apply(plan) as mixed`"
            )
        weight = weights.weight.squeeze(0) if weights.weight.shape == (1,) else weights.weight
        return LabelWeights(weight, weights.mask)

    def to(self, device: torch.device | str) -> "Plan":
        """Return the same plan with its tensors on `device`."""
        return plans_on([self], device)[0]

    def repeated(self, size: int) -> "Plan":
        """Return a plan for tensors with `size` consecutive rows for each example."""
        each = torch.arange(size, device=self.partner.device)
        ratio, draws = self.ratio, self.draws
        if ratio.ndim:
            ratio = ratio.repeat_interleave(size)
            draws = {name: value.repeat_interleave(size, 0) for name, value in draws.items()}
        return self.changed(ratio, (self.partner[:, None] * size + each).flatten(), draws=draws)

    def changed(
        self, ratio: Tensor, partner: Tensor, inverse: Tensor | None = None, **settings: Any
    ) -> "Plan":
        """Return a copy with another ratio, other partners and changed settings (not checked)."""
        plan, rows = object.__new__(Plan), ratio.reshape(-1)
        pairs = self.pairs._replace(ratio=ratio, rows=rows, partner=partner, inverse=inverse)
        vars(plan).update(vars(self), ratio=ratio, partner=partner, pairs=pairs, **settings)
        return plan


def plans_on(plans: Sequence[Plan], device: torch.device | str) -> list[Plan]:
    """Return the same plans with their tensors on a device, moved in one transfer."""
    tensors = [t for p in plans for t in (*p.pairs.tensors(), *p.draws.values())]
    if torch.device(device).type == "cpu" and all(tensor.is_cpu for tensor in tensors):
        return list(plans)
    found, copies = iter(moved(tensors, device)), list[Plan]()
    for plan in plans:
        pair = [tensor for _, tensor in zip(plan.pairs.tensors(), found, strict=False)]
        draws = dict(zip(plan.draws, found, strict=False))
        copies.append(plan.changed(*pair, draws=draws))
    return copies
