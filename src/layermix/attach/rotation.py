"""Rotate the examples at mix points, and compare what comes out with rotated examples.

Shapes: n examples.
"""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from layermix.attach.companions import Role
from layermix.attach.hooks import Hook
from layermix.attach.mask_hooks import MaskHook
from layermix.attach.structure import Path
from layermix.mixing import Plan

Dims = Mapping[Path, int | None]

# Shares below which a difference is rounding, by dtype.
_ROUNDING = {torch.float64: 1e-9, torch.float32: 1e-4, torch.float16: 2e-2, torch.bfloat16: 5e-2}
_OTHER_ROUNDING = 0.1
_LARGE = 1e30  # stands for a difference to infinity


class Rotation:
    """A mixing state under which hooks give each example the activation of its partner.

    Parameters
    ----------
    turns
        How often the examples are rotated at each point.
    count
        The number of examples.
    device
        Of the activations.
    """

    def __init__(self, turns: Mapping[str, int], count: int, device: torch.device) -> None:
        self._turns = turns
        ratio = torch.zeros((), device=device)
        self._plans = [Plan("", ratio, rotation(k, count, device)) for k in range(count)]

    def plan_at(self, *points: str) -> tuple[Plan, bool] | None:
        """Return the plan that carries out the turns of some points together."""
        turns = sum(self._turns.get(point, 0) for point in points) % len(self._plans)
        return (self._plans[turns], True) if turns else None

    def record(self, point: str) -> None:
        """Record nothing."""


def rotation(turns: int, count: int, device: torch.device | str = "cpu") -> Tensor:
    """Return the partner of each of `count` examples, int64 (count,)."""
    return (torch.arange(count, device=device) + turns) % count


class TurnHook(Hook):
    """A hook that takes what the partner has, without arithmetic."""

    def _main(self, tensor: Tensor, plan: Plan, dim: int) -> Tensor:
        return tensor.index_select(dim, plan.partner)

    def _follow(self, rows: Tensor, plan: Plan, channels: int) -> Tensor:
        return rows.index_select(0, plan.partner)

    def _unite(self, role: Role, name: str, tensor: Tensor, plan: Plan) -> Tensor:
        return _partners_mask(tensor, plan)


class TurnMaskHook(MaskHook):
    """A hook that takes the partner's mask in place of the union of both."""

    def _unite(self, role: Role, name: str, tensor: Tensor, plan: Plan) -> Tensor:
        return _partners_mask(tensor, plan)


def _partners_mask(tensor: Tensor, plan: Plan) -> Tensor:
    fits = tensor.shape[:1] == (plan.batch_size,)
    return tensor.index_select(0, plan.partner) if fits else tensor


def distances(
    clean: Mapping[Path, Tensor], now: Mapping[Path, Tensor], dims: Dims, turns: int, count: int
) -> Iterator[tuple[Path, float]]:
    """Yield path and relative distance of tensors that are not the clean ones rotated."""
    for path, own in clean.items():
        dim = dims.get(path)
        if dim is None or not own.is_floating_point():
            continue
        got = now.get(path)
        if got is None or got.shape != own.shape:
            yield path, 1.0
            continue
        want, other = (rotated(own, dim, k, count) for k in (turns, 1))
        share = share_of(got, own, want, other)
        if share > _ROUNDING.get(own.dtype, _OTHER_ROUNDING):
            yield path, min(share, 1.0)


def rotated(tensor: Tensor, dim: int, turns: int, count: int) -> Tensor:
    """Return a tensor whose examples are rotated; several rows of one example stay together."""
    rows = tensor.movedim(dim, 0).unflatten(0, (count, -1))
    index = rotation(turns, count, tensor.device)
    return rows.index_select(0, index).flatten(0, 1).movedim(0, dim)


def share_of(got: Tensor, own: Tensor, want: Tensor, other: Tensor) -> float:
    """Return |got - want| / |own - other|, 0 where all examples are equal.

    Values that are infinite or NaN in the same places of `got` and `want` count as equal.
    """
    wide = torch.promote_types(own.dtype, torch.float32)
    got, own, want, other = (t.detach().to(wide) for t in (got, own, want, other))
    error, scale = (got - want).norm(), (own - other).norm()
    if not (error.isfinite() and scale.isfinite()):
        same = (got == want) | (got.isnan() & want.isnan())
        error = torch.where(same, 0.0, (got - want).nan_to_num(_LARGE, _LARGE, -_LARGE)).norm()
        scale = torch.where(own == other, 0.0, own - other).nan_to_num(0.0, 0.0, 0.0).norm()
    if not scale:
        size = want.nan_to_num(0.0, 0.0, 0.0).norm()
        return float(error > 1e-6 * size)
    return float(error / scale)
