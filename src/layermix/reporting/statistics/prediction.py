"""Does a layer's geometry predict what mixing there gains?

For each quantity of a layer, Spearman's rank correlation over the layers between its value in the
net trained without mixing and the gain from mixing there: test accuracy with mixing minus without,
same seed (`rank_correlation`). Intervals are over seeds, p-values over the orders of the
layers, which the claim is about (`layer_permutation`). The hypothesis is *mix where the
classes are apart*. That SNNL predicts the gain is one question, asked beforehand, so its p-value
stands uncorrected; for all quantities together, Holm's correction. Depth is no quantity: it shows
what order alone would give.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from layermix.geometry.quantities import QUANTITIES
from layermix.reporting.formatting import listed
from layermix.reporting.prediction_text import notes, sentences
from layermix.reporting.statistics.depth import against_depth
from layermix.reporting.statistics.rank_correlation import BySeed, Rank, rank
from layermix.reporting.statistics.stats import holm

LEAST_LAYERS = 3  # two are in the same order half of the time
_NO_LAYERS = ("none", "random", "auto")  # variants that do not mix at one layer

Values = dict[str, dict[str, BySeed]]
"""By quantity, by mix point, by seed."""


@dataclass(frozen=True)
class Prediction:
    """What the geometry of layers says of the gain from mixing there.

    Attributes
    ----------
    layers
        The layers compared, in the order of the net.
    seeds
        The seeds at which no mixing and mixing at every one of them are finished.
    gains
        For each layer the gain in test accuracy of each seed, as a share (0.01 is one point).
    ranks
        For each quantity how it orders the layers; empty where nothing can be said.
    depth
        The same for the layers' place in the net, to compare with.
    sentences
        The answer; where nothing can be said, why.
    baseline
        Depth's rho beside that of the best quantity, in words; empty where depth has none.
    notes
        What one must know to read it rightly.
    """

    layers: list[str]
    seeds: list[int]
    gains: dict[str, BySeed]
    ranks: list[Rank]
    depth: Rank | None
    sentences: list[str]
    baseline: str
    notes: list[str]

    def __str__(self) -> str:
        return " ".join(filter(None, [*self.sentences, self.baseline]))

    def rows(self) -> list[Rank]:
        """Return the ranks of all quantities, then that of depth."""
        return [*self.ranks, *([self.depth] if self.depth else [])]


def predict(points: Sequence[str], values: Values, accuracy: dict[str, BySeed]) -> Prediction:
    """Relate the geometry of layers to the gain from mixing there.

    Parameters
    ----------
    points
        The layers that were measured, in the order of the net.
    values
        What was measured there at the end of training without mixing.
    accuracy
        Test accuracy of every finished run: by variant, then by seed.
    """
    layers = [p for p in points if p in accuracy and p not in _NO_LAYERS]
    unmixed = accuracy.get("none", {})
    seeds = [s for s in unmixed if all(s in accuracy[layer] for layer in layers)]
    gains = {n: {s: accuracy[n][s] - unmixed[s] for s in seeds} for n in layers}
    if obstacle := _obstacle(layers, values, unmixed, seeds):
        told = f"Whether geometry predicts the best layer is not answered here: {obstacle}."
        return Prediction(layers, seeds, gains, [], None, [told], "", [])
    ranks = _corrected([rank(q, expected(q), found, gains) for q, found in values.items()])
    places = {n: dict.fromkeys(seeds, float(place)) for place, n in enumerate(layers)}
    depth = rank("depth", 0, places, gains)
    return Prediction(
        layers,
        seeds,
        gains,
        ranks,
        depth,
        sentences(ranks, len(layers)),
        against_depth(ranks, depth, "seeds"),
        notes(gains, ranks, len(unmixed.keys() | set().union(*(accuracy[n] for n in layers)))),
    )


def expected(quantity: str) -> int:
    """Return the sign of rho that a quantity has where mixing gains most with classes apart."""
    return 1 if QUANTITIES[quantity].higher_is_better else -1


def _obstacle(layers: list[str], values: Values, unmixed: BySeed, seeds: list[int]) -> str | None:
    """Return why nothing can be said."""
    if not unmixed:
        return "it takes finished runs without mixing, the variant none"
    if not values:
        return "the runs hold no measures of their layers"
    if len(layers) < LEAST_LAYERS:
        these = f" ({listed(layers)})" if layers else ""
        return (
            f"it takes {LEAST_LAYERS} layers that are measured and mixed at plainly, and here are "
            f"{len(layers) or 'none'}{these}"
        )
    if not seeds:
        return f"no seed has finished runs of no mixing and of all {len(layers)} layers"
    return None


def _corrected(ranks: list[Rank]) -> list[Rank]:
    """Return the ranks with Holm's correction over all that have a p-value."""
    corrected = iter(holm([found.p for found in ranks if found.p is not None]))
    return [found if found.p is None else replace(found, p_holm=next(corrected)) for found in ranks]
