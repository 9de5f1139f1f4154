"""Draw mix point, ratio, partners and the numbers of the blend for the plans of one method."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import numpy as np

from layermix.errors import InputError, brief, unknown
from layermix.mixing.blends import Blend, MultiMix, find_blend
from layermix.mixing.partners import Pairing, Permutation, find_pairing
from layermix.mixing.point_sampler import PointSampler, Weights
from layermix.mixing.ratio_sampler import Ratio, RatioSampler
from layermix.mixing.schedule import Clock, Schedule, by_epoch
from layermix.mixing.targets import Remix

Per = Literal["batch", "sample", "epoch"]


class MethodSampler:
    """Draw mix points, ratios, partners and the random numbers of the blend for one method.

    Parameters
    ----------
    points
        Names of the mix points; each plan has one of them.
    weights, alpha, ratio, per, blend, partner, remix
        As for a `Mixer`. If `alpha` and `ratio` are None, the default ratio of the blend is used.
        If the blend has none, alpha is 1 at the input and 2 elsewhere.

    Raises
    ------
    InputError
        If a setting is invalid, or if the blend would ignore it.
    """

    def __init__(
        self,
        points: Sequence[str],
        *,
        weights: Weights = None,
        alpha: float | Schedule | None = None,
        ratio: float | Literal["uniform"] | None = None,
        per: Per = "batch",
        blend: str | Blend = "linear",
        partner: str | Pairing = "permutation",
        remix: Remix | None = None,
    ) -> None:
        self.points = PointSampler(points, weights)
        self.blend, self.pairing = find_blend(blend), find_pairing(partner)
        if remix is not None and not isinstance(remix, Remix):
            raise InputError(f"remix is {brief(remix)}, but must be layermix.mixing.Remix(counts)")
        if not isinstance(per, str) or per not in get_args(Per):
            raise unknown("value of per", per, get_args(Per))
        self.remix, self.per = remix, per
        default = self.blend.default_ratio if alpha is None else None
        self._ratios = RatioSampler(alpha, default if ratio is None else ratio)
        self.epoch_ratios: dict[str, float] = {}
        self._has_draws = type(self.blend).draw is not Blend.draw
        self.by_epoch = by_epoch(alpha=alpha, weights=weights)
        self.needs_epochs = per == "epoch" and self._ratios.fixed is None
        if self.needs_epochs:
            self.by_epoch.append("per='epoch'")
        scheduled = isinstance(alpha, Schedule) or isinstance(weights, Schedule)
        self.is_constant = not (scheduled or self.pairing.needs or self.blend.changes_batch_size)
        self._refuse_ignored(alpha=alpha, ratio=ratio, per=per, remix=remix)

    def _refuse_ignored(self, **settings: Any) -> None:
        if not isinstance(self.blend, MultiMix):
            return
        settings["partner"] = self.pairing
        defaults = {"per": "batch", "partner": Permutation()}
        given = [f"{n}={brief(v)}" for n, v in settings.items() if v != defaults.get(n)]
        if given:
            raise InputError(
                f"the blend {self.blend!r} mixes the whole batch with its own weights, so that "
                f"{', '.join(given)} would be ignored: leave out settings of ratios, partners and "
                "remix, or choose another blend"
            )

    def check_cross_rank(self) -> None:
        """Raise an `InputError` if the method's partners cannot come from other ranks."""
        self._refuse_ignored(cross_rank=True)
        if self.pairing.needs:
            raise InputError(
                f"partner {brief(self.pairing)} needs the {self.pairing.needs} of one process, so "
                "it cannot be used with cross_rank: use 'permutation' or 'derangement'"
            )

    def draw(
        self,
        size: int,
        uniform: float,
        clock: Clock,
        shared: np.random.Generator,
        own: np.random.Generator,
        values: Any = None,
        world: tuple[int, int] | None = None,
    ) -> tuple[str, Ratio, np.ndarray, dict[str, np.ndarray]]:
        """Draw the mix point, the ratio, the partners (B,) and the blend's numbers of one step.

        `uniform`, in [0, 1), selects the mix point. All ranks have the same generator `shared`;
        `own` belongs to this rank. `values` are the labels or inputs (B, ...) that the pairing
        needs. `world` is (rank, number of ranks) if partners come from all ranks; all numbers are
        then drawn for the joined batch, by the generator `own` of rank 0, and cut.
        """
        if world is not None:
            rank, ranks = world
            joined = self.draw(ranks * size, uniform, clock, shared, own)
            return _cut(*joined, slice(rank * size, (rank + 1) * size))
        points = self.points
        point = points.only if points.only is not None else points.draw(uniform, clock)
        ratio: Ratio = 1.0
        if self.needs_epochs:
            ratio = self.epoch_ratios[point]
        elif self.per != "sample":
            ratio = self._ratios.draw(point, clock, shared)
        if type(self.pairing) is Permutation:
            partner = own.permutation(size)  # the common case, inlined
        else:
            partner = self.pairing(own, size, values)
        if self.per == "sample":
            ratio = self._ratios.draw(point, clock, own, size)
        draws = self.blend.draw(own, np.shape(ratio), size) if self._has_draws else {}
        return point, ratio, partner, draws

    def draw_epoch(self, clock: Clock, rng: np.random.Generator) -> None:
        """Draw the ratio of each point for this epoch, if ratios are drawn per epoch."""
        if self.needs_epochs:
            draw = self._ratios.draw
            self.epoch_ratios = {p: float(draw(p, clock, rng)) for p in self.points.names}

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the point sampler and the ratios of this epoch, as JSON types."""
        return {"points": self.points.state_dict(), "epoch_ratios": dict(self.epoch_ratios)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Load the state of a sampler with the same mix points."""
        self.points.load_state_dict(state["points"])
        self.epoch_ratios = dict(state["epoch_ratios"])


def _cut(
    point: str, ratio: Ratio, partner: np.ndarray, draws: dict[str, np.ndarray], part: slice
) -> tuple[str, Ratio, np.ndarray, dict[str, np.ndarray]]:
    """Return the numbers of a part of the batch; those of the whole batch remain as they are."""
    if isinstance(ratio, np.ndarray) and ratio.ndim:
        ratio, draws = ratio[part], {name: values[part] for name, values in draws.items()}
    return point, ratio, partner[part], draws
