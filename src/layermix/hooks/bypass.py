"""Measure which share of an example bypasses a mix point, in passes that mix with ratio 0.

Ratio 0 replaces each activation at the point by the partner's activation. At a cut, this turns each
output into the partner's output. Otherwise part of the example bypasses the point: by a skip
connection, a second head or another input.

    share = |output - partner's output| / |unmixed output - partner's output|

The partners are the examples rotated by some positions. One pass can test several points, which
divide the network into regions. In each pass, a region has a code: the number of positions by which
examples are rotated there. Each point adds the difference of two codes, so that data that bypasses
it arrives with a wrong rotation. The codes are the base-3 digits of the region numbers, one digit
per pass: k points need ceil(log3(k + 1)) passes. After a wrong one, each point has its own pass.
"""

from collections.abc import Collection, Mapping, Sequence
from itertools import chain, pairwise
from typing import Any

import torch
from torch import Tensor, nn

from layermix.errors import InputError
from layermix.hooks.isolation import monitoring
from layermix.hooks.mask_hooks import install_masks
from layermix.hooks.masks import Role
from layermix.hooks.mixing_hook import install
from layermix.hooks.mixing_state import Active, MixingState
from layermix.hooks.nested import Path, leaves
from layermix.hooks.passes import Passes
from layermix.hooks.recording import Recording
from layermix.hooks.rotation import distances, rotation
from layermix.hooks.sites import device_of
from layermix.mixing import Blended, Plan
from layermix.mixing.blends.base import Draws, RatioBlend
from layermix.mixing.distributed import agreement

_BASE = 3  # three examples have the different rotations 0, 1 and 2
# Shares up to _NOISE times the effect of rounded inputs, and below _MOST_NOISE, are rounding.
_NOISE, _MOST_NOISE = 30.0, 0.1


class _Exchange(RatioBlend):
    """Blend that copies the partner's activation, without rounding errors."""

    def __call__(
        self, own: Tensor, other: Tensor, ratio: Tensor, draws: Draws, channels: int
    ) -> Blended:
        return Blended(torch.empty_like(own).copy_(other), ratio)


def _exchanged(role: Role, name: str, mask: Tensor, plan: Plan) -> Tensor:
    return plan.of_partners(mask) if mask.shape[:1] == (plan.batch_size,) else mask


class _Rotation(MixingState):
    """Mixing state whose hooks rotate the examples at each point by ``turns[point]`` positions."""

    def __init__(self, turns: Mapping[str, int], count: int, device: torch.device) -> None:
        super().__init__()
        ratio, blend = torch.zeros((), device=device), _Exchange()
        self._turns = turns
        self._plans = [Plan("", ratio, rotation(k, count, device), blend) for k in range(count)]

    def active(self, points: Sequence[str]) -> Active | None:
        turns = sum(self._turns.get(point, 0) for point in points) % len(self._plans)
        return (self._plans[turns], True) if turns else None


class CutTest:
    """Measure which share of an example bypasses mix points of a model."""

    def __init__(
        self, passes: Passes, model: nn.Module, unmixed: Recording, together: Collection[str]
    ) -> None:
        self._passes, self._model, self._unmixed = passes, model, unmixed
        # Expected cuts share passes; `unmixed` is a pass of the same examples.
        self._together, self._count = together, passes.sizes[0]
        self._output_dims = unmixed.output_dims()
        self._device = device_of(passes.model)
        self._agree = agreement(passes.model)  # True if a condition holds on any rank

    def shares(self, points: Sequence[str]) -> dict[str, dict[Path, float]]:
        """Return the share that bypasses each point, by point and output path; {} for a cut."""
        together = [point for point in points if point in self._together]
        cuts = self._all_cuts(together)
        found = {p: {} if cuts and p in together else self._share(p) for p in points}
        found = self._without_unsteady_numbers(found)
        if not any(
            0 < share < _MOST_NOISE for shares in found.values() for share in shares.values()
        ):
            return found
        limit = min(_NOISE * self._rounding(), _MOST_NOISE)
        return {p: {k: v for k, v in shares.items() if v > limit} for p, shares in found.items()}

    def unsteadiness(self) -> float:
        """Return how much the outputs depend on the order of the examples, from 0 to 1."""
        return max(self._rotated().values(), default=0.0)

    def _rotated(self) -> dict[Path, float]:
        try:
            return self._distances(self._passes.run(self._passes.rotated()), 1)
        except InputError:  # examples of a ragged batch cannot be rotated
            return {}

    def _without_unsteady_numbers(
        self, found: Mapping[str, Mapping[Path, float]]
    ) -> dict[str, dict[Path, float]]:
        """Remove integer outputs that depend on positions in the batch, such as row numbers."""
        whole = {p for p, tensor in self._unmixed.output.items() if not tensor.is_floating_point()}
        if any(whole & shares.keys() for shares in found.values()):
            whole &= self._rotated().keys()
        else:
            whole = set()
        return {p: {k: v for k, v in s.items() if k not in whole} for p, s in found.items()}

    def _rounding(self) -> float:
        output = self._passes.run(self._passes.nudged())  # inputs moved by a rounding error
        return max(self._distances(output, 0).values(), default=0.0)

    def _all_cuts(self, points: Sequence[str]) -> bool:
        """Test all points in the same passes; return True if this proves that all are cuts."""
        base = min(_BASE, self._count)
        regions, digit = len(points) + 1, 1
        while digit < regions:
            codes = [k // digit % base for k in range(regions)]
            if self._agree(self._differs(points, codes)):
                return False
            digit *= base
        return True

    def _differs(self, points: Sequence[str], codes: Sequence[int]) -> bool:
        """Run one pass; return True if any tensor is not rotated by the code of its region."""
        unmixed, wrong = self._unmixed, list[str]()
        before = dict(zip(points, codes, strict=False))
        turns = {
            point: (now - code) % self._count
            for point, (code, now) in zip(points, pairwise(codes), strict=True)
        }

        def arrive(point: str, index: int, value: Any) -> None:
            clean, dims = unmixed.values[point, index], unmixed.dims(point)[index]
            found = distances(clean, leaves(value), dims, before[point], self._count)
            if any(True for _ in found):
                wrong.append(point)

        try:
            with monitoring((unmixed.sites[point] for point in points), arrive):
                output = self._turned(turns)
        except Exception:  # a later layer fails on the partner's activation
            return True
        integers = codes[-2] if points[-1] == "logits" else codes[-1]
        return bool(wrong or self._distances(output, codes[-1], integers))

    def _share(self, point: str) -> dict[Path, float]:
        return self._distances(self._turned({point: 1}), 1, int(point != "logits"))

    def _turned(self, turns: Mapping[str, int]) -> Any:
        unmixed, state = self._unmixed, _Rotation(turns, self._count, self._device)
        sites = [unmixed.sites[point] for point in turns]
        hooks = {site.name: install(site, state, unite=_exchanged) for site in sites}
        masks = install_masks(self._model, sites, state, unite=_exchanged)
        unmixed.configure(hooks, masks)
        try:
            return self._passes.run()
        finally:
            for hook in (*chain.from_iterable(hooks.values()), *masks.values()):
                hook.remove()

    def _distances(self, output: Any, turns: int, integers: int | None = None) -> dict[Path, float]:
        # A mix at the logits does not change integers in the output: they may have other turns.
        unmixed, now, found = self._unmixed, leaves(output), dict[Path, float]()
        for floating, k in ((True, turns), (False, turns if integers is None else integers)):
            clean = {p: t for p, t in unmixed.output.items() if t.is_floating_point() == floating}
            found |= distances(clean, now, self._output_dims, k, self._count, thorough=True)
        return found
