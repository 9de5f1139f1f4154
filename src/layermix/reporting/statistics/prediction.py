"""Does the geometry of a layer predict the gain from mixing there?

For each quantity of a layer, `ranks` correlates its value without mixing with the gain from mixing
at that layer: test accuracy with mixing minus without, at the same seed. The hypothesis is *mix
where the classes are separate*. SNNL is the only quantity that was chosen beforehand, so that its
p-value is not corrected; those of all quantities together have Holm's correction. Depth, the
position of a layer in the network, is the baseline; it gets the sign that suits the data best. For
each key (seed or study), the lead of a quantity over depth is

    expected sign * its rho - sign of depth's mean rho * depth's rho

A lead over seeds concerns the few layers of one network only. A lead over studies can be
significant; its sign-flip test is corrected, because the best quantity was chosen afterwards.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from layermix.geometry import QUANTITIES
from layermix.reporting.statistics.paired import BySeed, Estimate, estimate, sign_flip_p
from layermix.reporting.statistics.ranks import Rank, corrected, rank

MIN_LAYERS = 3  # two layers are in the same order half of the time
_NO_LAYERS = ("none", "random", "auto")  # variants that do not mix at one layer


@dataclass(frozen=True)
class Lead:
    """How much better than depth the best quantity predicts the gain, as a difference of rho."""

    best: Rank
    tried: int  # number of quantities
    estimate: Estimate  # of the lead, over seeds or studies
    p: float  # of the sign-flip test, times the number of quantities


@dataclass(frozen=True)
class Prediction:
    """Rank correlations between the geometry of layers and the gain from mixing there.

    Gains are shares of test accuracy (0.01 is one point). A seed is used only if its runs without
    mixing and with mixing at each layer are finished.
    """

    layers: list[str]  # in the order of the network
    gains: dict[str, BySeed]
    ranks: list[Rank]  # of each quantity; empty if there is an obstacle
    depth: Rank | None  # of the position of the layers in the network
    lead: Lead | None  # of the best quantity over depth
    begun: int  # number of seeds with a finished run without mixing or at one of the layers
    repeated: list[str]  # layers with all results of an earlier one, which are not ranked again
    obstacle: str | None = None  # what is missing: "none", "values", "layers" or "seeds"

    @property
    def seeds(self) -> list[int]:
        """The seeds whose runs are all finished: without mixing, and with mixing at each layer."""
        return list(next(iter(self.gains.values()), {}))

    @property
    def rows(self) -> list[Rank]:
        """The rank correlations of all quantities, followed by that of depth."""
        return [*self.ranks, *([self.depth] if self.depth else [])]

    @property
    def snnl(self) -> Rank | None:
        """The rank correlation of SNNL, or None if it is not defined."""
        return next((r for r in self.ranks if r.quantity == "snnl" and r.estimate), None)


def predict(
    points: Sequence[str], values: dict[str, dict[str, BySeed]], accuracy: dict[str, BySeed]
) -> Prediction:
    """Compute how well the geometry of layers predicts the gain from mixing there.

    `points` are the measured layers, in the order of the network; `values` the quantities after
    training without mixing, by quantity, layer and seed; `accuracy` that of every finished run.
    """
    mixed = [p for p in points if p in accuracy and p not in _NO_LAYERS]
    contents = [(accuracy[p], [layers.get(p) for layers in values.values()]) for p in mixed]
    layers = [p for i, p in enumerate(mixed) if contents[i] not in contents[:i]]
    repeated = [p for p in mixed if p not in layers]
    unmixed = accuracy.get("none", {})
    seeds = [s for s in unmixed if all(s in accuracy[layer] for layer in layers)]
    begun = len(unmixed.keys() | set().union(*(accuracy[layer] for layer in layers)))
    gains = {n: {s: accuracy[n][s] - unmixed[s] for s in seeds} for n in layers}
    checks = {"none": unmixed, "values": values, "layers": layers[MIN_LAYERS - 1 :], "seeds": seeds}
    if obstacle := next((name for name, found in checks.items() if not found), None):
        return Prediction(layers, gains, [], None, None, begun, repeated, obstacle)
    ranks = corrected([rank(q, expected(q), found, gains) for q, found in values.items()])
    places = {n: dict.fromkeys(seeds, float(place)) for place, n in enumerate(layers)}
    depth = rank("depth", 0, places, gains)
    return Prediction(layers, gains, ranks, depth, lead(ranks, depth), begun, repeated)


def expected(quantity: str) -> int:
    """Return the sign of rho that is expected if mixing gains most where classes are apart."""
    return 1 if QUANTITIES[quantity].higher_is_better else -1


def lead(ranks: Sequence[Rank], depth: Rank) -> Lead | None:
    """Return how much better the best quantity predicts the gain than depth does.

    Only quantities with a rho for more than half of depth's seeds or studies are compared; None if
    there is no such quantity.
    """
    most = len(depth.rhos) / 2  # a quantity that few keys have is not comparable with depth
    shared = [r for r in ranks if r.estimate and len(r.rhos.keys() & depth.rhos.keys()) > most]
    if not shared or depth.estimate is None:
        return None
    best = max(shared, key=lambda row: row.expected * (row.estimate.mean if row.estimate else 0))
    side = -1 if depth.estimate.mean < 0 else 1
    leads = [
        best.expected * rho - side * depth.rhos[key]
        for key, rho in best.rhos.items()
        if key in depth.rhos
    ]
    p = min(1.0, len(shared) * sign_flip_p(leads))
    return Lead(best, len(shared), estimate(leads), p)


def over_studies(predictions: dict[str, Prediction]) -> list[Rank]:
    """Return each quantity's mean rho over studies, in the order of `QUANTITIES`, then depth.

    Each study gives one mean rho. Their mean has an interval and a sign-flip test over studies.
    """
    by_study = {name: {r.quantity: r for r in found.rows} for name, found in predictions.items()}
    rows = []
    for quantity in (*QUANTITIES, "depth"):
        found = {name: ranks[quantity] for name, ranks in by_study.items() if quantity in ranks}
        if not found:
            continue
        rhos = {name: row.estimate.mean for name, row in found.items() if row.estimate}
        means = list(rhos.values())
        over, p = (estimate(means), sign_flip_p(means)) if means else (None, None)
        sign = 0 if quantity == "depth" else expected(quantity)
        rows.append(Rank(quantity, sign, rhos, len(predictions) - len(rhos), over, p))
    depth = [row for row in rows if row.quantity == "depth"]
    return corrected([row for row in rows if row.quantity != "depth"]) + depth
