"""The planner draws plans: where, how much and with whom, from a seed of its own.

Each question has its own random stream, so that the choice of the mix point does not shift the
partners, and two planners of one seed draw the same partners whatever points they mix. Under data
parallel training all ranks share the stream of points and of ratios per batch or per epoch, and
each rank has its own of partners and of ratios per sample. No global generator is read.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import numpy as np
import torch

from layermix.errors import InputError, unknown
from layermix.mixing.blend import BLENDS
from layermix.mixing.choice import Choice
from layermix.mixing.plan import Plan
from layermix.mixing.ratio import Beta, Fixed, RatioLaw

Per = Literal["batch", "sample", "epoch"]

# The papers' values: mixup on CIFAR-10 uses alpha = 1 (Zhang et al., 2018), Manifold Mixup
# alpha = 2 (Verma et al., 2019).
INPUT_ALPHA, HIDDEN_ALPHA = 1.0, 2.0


class Planner:
    """Draws one `Plan` after another.

    Parameters
    ----------
    points
        Names of the mix points; each plan takes one of them.
    weights
        Relative probability of each point; equal when left out.
    alpha
        Ratios come from Beta(alpha, alpha). Left out: 1 at the input, 2 elsewhere.
    ratio
        Instead of alpha: a fixed ratio in [0, 1], or ``"uniform"``.
    per
        Draw a ratio per ``"batch"``, per ``"sample"`` or per ``"epoch"`` (see `next_epoch`).
    blend
        How two activations become one: a name in `BLENDS`.
    seed
        Seed, or a generator from which a seed is taken.
    rank
        Rank of this process in data parallel training.

    Attributes
    ----------
    choice
        The mix points with their weights, which may be changed on the way.
    """

    def __init__(
        self,
        points: Sequence[str],
        *,
        weights: Sequence[float] | None = None,
        alpha: float | None = None,
        ratio: float | Literal["uniform"] | None = None,
        per: Per = "batch",
        blend: str = "linear",
        seed: int | np.random.Generator = 0,
        rank: int = 0,
    ) -> None:
        self.choice = Choice(points, weights)
        if per not in get_args(Per):
            raise unknown("value of per", per, get_args(Per))
        if blend not in BLENDS:
            raise unknown("blend", blend, BLENDS)
        self.blend = blend
        # The laws of dropped points too: their ratios of an epoch are drawn, so that none shifts.
        self._laws = {point: _law(point, alpha, ratio) for point in points}
        self.per: Per = per
        root = int(seed.integers(2**63)) if isinstance(seed, np.random.Generator) else seed
        self._streams = {
            "point": _stream(root, 0),
            "ratio": _stream(root, 1),
            "sample": _stream(root, 2, rank),
            "partner": _stream(root, 3, rank),
        }
        self._epoch_ratios: dict[str, float] = {}  # for each point; empty until the first draw

    @property
    def points(self) -> tuple[str, ...]:
        """The mix points that plans can take."""
        return self.choice.points

    def draw(self, batch_size: int, device: torch.device | str = "cpu") -> Plan:
        """Draw a plan for a batch of `batch_size` examples, its tensors on `device`."""
        if batch_size < 1:
            raise InputError(f"cannot draw a plan for a batch of {batch_size} examples")
        point = self.choice.draw(self._streams["point"])
        ratio = torch.as_tensor(self._draw_ratio(point, batch_size), dtype=torch.float32)
        partner = torch.from_numpy(self._streams["partner"].permutation(batch_size))
        plan = Plan(point, ratio, partner.to(torch.int64), self.blend)
        return plan if torch.device(device).type == "cpu" else plan.to(device)

    def next_epoch(self) -> None:
        """Draw the ratios of a new epoch; nothing happens unless `per` is ``"epoch"``."""
        if self.per == "epoch":
            stream = self._streams["ratio"]
            self._epoch_ratios = {
                point: float(law.sample(stream, 1)[0]) for point, law in self._laws.items()
            }

    def state_dict(self) -> dict[str, Any]:
        """Return streams, ratios and weights, as numbers, strings, lists and dicts (JSON)."""
        return {
            "streams": {name: rng.bit_generator.state for name, rng in self._streams.items()},
            "epoch_ratios": dict(self._epoch_ratios),
            "choice": self.choice.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue exactly where the planner that gave `state` had stopped.

        Raises
        ------
        InputError
            For what is no state of a planner, or that of one with other mix points.
        """
        missing = {"streams", "epoch_ratios", "choice"} - set(state)
        if missing or set(state["streams"]) != set(self._streams):
            raise InputError(
                f"this is not the state of a planner: it has the keys {sorted(state)}. "
                "Load what state_dict() returned"
            )
        self.choice.load_state_dict(state["choice"])
        for name, rng in self._streams.items():
            rng.bit_generator.state = state["streams"][name]
        self._epoch_ratios = dict(state["epoch_ratios"])

    def _draw_ratio(self, point: str, batch_size: int) -> np.ndarray | float:
        law = self._laws[point]
        if self.per == "sample":
            return law.sample(self._streams["sample"], batch_size)
        if self.per == "batch":
            return float(law.sample(self._streams["ratio"], 1)[0])
        if not self._epoch_ratios:
            self.next_epoch()
        return self._epoch_ratios[point]


def _stream(*key: int) -> np.random.Generator:
    seed, *spawn = key
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=spawn)))


def _law(point: str, alpha: float | None, ratio: float | Literal["uniform"] | None) -> RatioLaw:
    if ratio is not None and alpha is not None:
        raise InputError(f"give alpha ({alpha!r}) or ratio ({ratio!r}), not both")
    if ratio == "uniform":
        return Beta(1.0)
    if isinstance(ratio, str):
        raise unknown("ratio", ratio, ["uniform"])
    if ratio is not None:
        return Fixed(ratio)
    default = INPUT_ALPHA if point == "input" else HIDDEN_ALPHA
    return Beta(default if alpha is None else alpha)
