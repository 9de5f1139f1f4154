"""The plan: one immutable draw of (mix point, ratio, partner, blend), made before the forward."""

from collections.abc import Mapping
from dataclasses import InitVar, dataclass, field, replace
from typing import overload

import torch
from torch import Tensor

from layermix.errors import InputError, RunError, brief
from layermix.mixing.blends import Beside, Blend, Blended, find_blend
from layermix.mixing.blends.blend import whole
from layermix.mixing.blends.pairs import Pairs
from layermix.mixing.device import moved
from layermix.mixing.precision import full_precision
from layermix.mixing.ranks import joined
from layermix.mixing.targets import BesideTarget, ManyTarget, MixedTarget, Remix, Target, Targets
from layermix.mixing.targets.labels import check_labels
from layermix.mixing.targets.positions import ratio_of, refuse_positions


@dataclass(frozen=True, eq=False)
class Plan:
    """What one step mixes, and how.

    Example i of the batch becomes ``ratio[i] * a[i] + (1 - ratio[i]) * a[partner[i]]`` where `a`
    is the activation at the mix point, or what another blend makes of both; its label is mixed by
    the same numbers, or by what a blend that cuts really left of the example.

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
        How two activations become one: the name of a blend, or one with settings of its own.
    draws
        Further random numbers that the blend needs, by name, as its `draw` returns them.
    remix
        How the weight of labels depends on how frequent their classes are.
    across
        Whether partners are on all ranks of data parallel training, and count the joined batch.
    still
        Whether nothing is mixed in this step, whatever the rest says.
    how
        The blend itself, found once by its name: a compiled forward only reads it.
    pairs
        Ratio and partners, with what the gradient of a linear mix needs.
    ready
        These, where they are at hand; made of ratio and partner when left out.
    left
        What the mix has left of the own labels, by mix point, for blends that know only then:
        weight and mask; empty before.

    Raises
    ------
    InputError
        For a ratio or a partner of another shape or dtype, or on the CPU a partner that is not in
        the batch, unless it is `across` processes.
    """

    point: str
    ratio: Tensor
    partner: Tensor
    blend: str | Blend = "linear"
    draws: Mapping[str, Tensor] = field(default_factory=dict)
    remix: Remix | None = None
    across: bool = False
    still: bool = False
    left: dict[str, tuple[Tensor, Tensor | None]] = field(
        default_factory=dict, init=False, repr=False
    )

    how: Blend = field(init=False, repr=False)
    pairs: Pairs = field(init=False, repr=False)
    ready: InitVar[Pairs | None] = None

    def __post_init__(self, ready: Pairs | None) -> None:
        for name, value in (("ratio", self.ratio), ("partner", self.partner)):
            if not isinstance(value, Tensor):
                raise InputError(f"{name} is {brief(value)}, but must be a tensor")
        object.__setattr__(self, "how", find_blend(self.blend))
        if self.partner.dtype != torch.int64 or self.partner.ndim != 1:
            raise InputError(
                "partner must be an int64 tensor of shape (B,), but it is "
                f"{self.partner.dtype} of shape {tuple(self.partner.shape)}"
            )
        fits = self.ratio.ndim == 0 or self.ratio.shape == self.partner.shape
        if not (self.ratio.is_floating_point() and fits):
            raise InputError(
                f"ratio must be a float tensor of shape () or ({self.batch_size},), but it is "
                f"{self.ratio.dtype} of shape {tuple(self.ratio.shape)}"
            )
        pairs = ready or Pairs.of(self.ratio, self.partner, self.across)
        object.__setattr__(self, "pairs", pairs)

    @property
    def batch_size(self) -> int:
        """The number of examples B that the plan was drawn for."""
        return self.partner.shape[0]

    @property
    def grows(self) -> bool:
        """Whether the mix returns more rows than the batch has examples."""
        return self.how.grows and not self.still

    @property
    def weight(self) -> Tensor | None:
        """The weight of the own label, or None where only the mix itself will tell it."""
        return self._weight(self.ratio)

    def _weight(self, ratio: Tensor) -> Tensor | None:
        return ratio if self.still else self.how.weight(ratio, self.draws)

    def carry_out(self, x: Tensor, channels: int = 1) -> Blended:
        """Mix an activation: a pure function, which leaves no note on the plan.

        Parameters
        ----------
        x
            Floating-point tensor (B, ...).
        channels
            Which dimension of it has the channels: 1 for maps, -1 for tokens.

        Raises
        ------
        InputError
            For what `layermix.mix` refuses.
        """
        self.check(x)
        if self.still:
            return Blended(x, self.pairs.ratio)
        try:
            with full_precision(x):
                blended = self._blended(x, channels)
        except KeyError as error:
            raise InputError(
                f"the plan has no draws named {error}, which the blend {self.blend!r} needs: draw "
                "it with a mixer, or hand over what the blend's draw() returns"
            ) from None
        return whole(self.how, x, blended)

    def _blended(self, x: Tensor, channels: int) -> Blended:
        if self.across:
            return self.how(x, self.of_partners(x), self.pairs.ratio, self.draws, channels)
        return self.how.of_batch(x, self.pairs, self.pairs.ratio, self.draws, channels)

    def note(self, point: str, blended: Blended) -> None:
        """Keep what a mix at a point has left of the own labels, where only it can tell.

        Of several tensors that are mixed at one point the first counts.
        """
        if point not in self.left and self._weight(self.pairs.ratio) is None:
            # One number in shape (1,), for the reason of `Pairs.rows`.
            self.left[point] = torch.atleast_1d(blended.weight.detach()), blended.mask

    def of_partners(self, x: Tensor) -> Tensor:
        """Return what the partner of each example has, (B, ...), of what each example has."""
        everyone = joined(x) if self.across else x
        if everyone.device != self.partner.device:
            return everyone[self.partner]
        return everyone.index_select(0, self.partner)

    @overload
    def target(self, labels: Tensor) -> Target: ...
    @overload
    def target(self, labels: Mapping[str, Tensor]) -> Targets: ...
    def target(self, labels: Tensor | Mapping[str, Tensor]) -> Target | Targets:
        """Mix labels by this plan.

        Parameters
        ----------
        labels
            Tensor of shape (B, ...), or a mapping of several of them.

        Returns
        -------
        Target or Targets
            A `MixedTarget` but for blends that return more than B examples.

        Raises
        ------
        InputError
            For labels of another batch, or of positions that the blend has moved or never had.
        RunError
            Before the mix, for blends that know only then how much they leave of an example.
        """
        if isinstance(labels, Mapping):
            return Targets({name: self.target(one) for name, one in labels.items()})
        self.check_labels(labels)
        if self.still:
            return MixedTarget.clean(labels)
        weight, mask = self.weight, None
        if weight is None:
            weight, mask = self._left()
        if weight.ndim == 2:
            return ManyTarget(labels, weight)
        if self.how.moves:
            refuse_positions(labels, self.blend)
        ratio, theirs = ratio_of(weight, mask, labels), self.of_partners(labels)
        if self.remix is not None:
            ratio = self.remix(ratio, labels, theirs)
        partial = self.pairs.partial and ratio is self.ratio
        mixed = MixedTarget(labels, theirs, ratio, self.of_partners, partial)
        if isinstance(self.how, Beside):
            return BesideTarget(MixedTarget.clean(labels), mixed, self.how.eta)
        return mixed

    def check_labels(self, labels: Tensor | Mapping[str, Tensor]) -> None:
        """Raise an `InputError` for labels that this plan cannot mix."""
        check_labels(labels, self.batch_size)

    def to(self, device: torch.device | str) -> "Plan":
        """Return the same plan with its tensors on `device`."""
        pairs = self.pairs.to(device)
        draws = {name: moved(value, device) for name, value in self.draws.items()}
        return replace(self, ratio=pairs.ratio, partner=pairs.partner, draws=draws, ready=pairs)

    def check(self, x: Tensor) -> None:
        """Raise an `InputError` for what this plan cannot mix."""
        if not isinstance(x, Tensor):
            raise InputError(f"cannot mix {brief(x)}: give a tensor, torch.as_tensor(x)")
        if not x.is_floating_point():
            raise InputError(
                f"cannot mix a tensor of dtype {x.dtype} and shape {tuple(x.shape)}: mixing needs "
                "floating point. Convert images with .float(); mix token ids after their embedding"
            )
        if x.ndim == 0 or x.shape[0] != self.batch_size:
            raise InputError(
                f"cannot mix a tensor of shape {tuple(x.shape)} by a plan drawn for a batch of "
                f"{self.batch_size}: the first dimension must be the batch"
            )

    def _left(self) -> tuple[Tensor, Tensor | None]:
        if self.point not in self.left:
            raise RunError(
                f"the blend {self.blend!r} knows only after the mix how much it leaves of an "
                "example: call plan.target(labels) after the forward pass, or after "
                "layermix.mix(x, plan)"
            )
        weight, mask = self.left[self.point]
        return weight.squeeze(0) if weight.shape == (1,) else weight, mask
