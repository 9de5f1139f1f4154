"""The prediction in words: does a layer's geometry tell what mixing there gains?"""

import itertools
import math

from layermix.geometry.quantities import QUANTITIES
from layermix.reporting.formatting import (
    correlation,
    heading,
    listed,
    mean_rho,
    orders_p_name,
    orders_word,
    seeds_word,
)
from layermix.reporting.statistics.layer_permutation import least_orders_p
from layermix.reporting.statistics.rank_correlation import BySeed, Rank
from layermix.reporting.statistics.stats import LEVEL, estimate

_NAMED = 6  # layers that are named one by one


def sentences(ranks: list[Rank], layers: int) -> list[str]:
    """Return the answer: SNNL and all quantities in one sentence, then what goes against it.

    Parameters
    ----------
    ranks
        How each quantity orders the layers.
    layers
        How many there are.
    """
    if not any(found.estimate for found in ranks):
        return [
            "No quantity of the layers has a rank correlation with the gain here: at every seed "
            "their values or gains are all equal, or some are missing."
        ]
    snnl = next((r for r in ranks if r.quantity == "snnl" and r.estimate), None)
    parts = [
        *([_snnl(snnl, layers)] if snnl else []),
        *([_all(ranks, layers)] if len(ranks) > 1 else []),
    ]
    first = "; ".join(parts) if snnl else f"here {_all(ranks, layers)}"
    found = [f"{first[0].upper()}{first[1:]}."]
    if other := [r for r in ranks if r.side(r.p_holm) == "other"]:
        found.append(f"Against the hypothesis {_shown(other)} to order the layers the other way.")
    return found


def notes(gains: dict[str, BySeed], ranks: list[Rank], begun: int) -> list[str]:
    """Return what one must know to read the prediction rightly.

    Parameters
    ----------
    gains
        For each layer the gain of each seed.
    ranks
        How each quantity orders the layers.
    begun
        Number of seeds with a finished run of no mixing or of one of the layers.
    """
    layers, seeds = len(gains), len(next(iter(gains.values())))
    return [
        f"Rho is Spearman’s rank correlation, over the {layers} layers {_span(list(gains))}, "
        "between a quantity after training without mixing and the gain in test accuracy from "
        "mixing there, seed by seed: +1 is the same order, −1 the reverse. Its mean over "
        f"{seeds_word(seeds)} has a 95% Student-t interval over seeds, cut at ±1.",
        _test(layers, len(ranks)),
        f"Only {layers} layers are put in order: at one seed a perfect order arises by chance with "
        f"probability 1/{layers}! = 1/{math.factorial(layers):,}. Nor are the layers of one net "
        "independent, as the test takes them to be: whatever rises or falls from layer to layer "
        "has the rho of depth, which is shown to compare.",
        "Intervals and p-values are of one net on one data set. However narrow or small, they say "
        "nothing of other nets or other data.",
        _noise(gains),
        *_no_width(ranks),
        *_power(ranks, layers),
        *_left_out(ranks, seeds, begun),
    ]


def _test(layers: int, quantities: int) -> str:
    """Tell what p is over, and when something is shown."""
    others = f" Over all {quantities} quantities it is corrected by Holm’s method."
    return (
        f"p is over {orders_word(layers)}, not over seeds, for what a layer gains repeats from "
        "seed to seed: it is twice the share of these orders, each taken at every seed, whose mean "
        "rho is at least as far out on the same side. A relation is shown where p is below "
        f"{LEVEL} and the interval over seeds excludes zero. Whether SNNL predicts the gain was "
        f"asked beforehand, so there p counts uncorrected.{others if quantities > 1 else ''}"
    )


def _snnl(found: Rank, layers: int) -> str:
    assert found.estimate is not None
    lead = {
        "expected": "layers with a low SNNL gain more from mixing here",
        "other": "against the hypothesis, layers with a low SNNL gain less from mixing here",
        "undecided": "SNNL is not shown to predict where mixing gains most",
    }[found.side(found.p)]
    p = f"{orders_p_name(layers)} = {found.p:.3g} over {orders_word(layers)}"
    return f"{lead}: {mean_rho(found.estimate)}, {p}"


def _all(ranks: list[Rank], layers: int) -> str:
    shown = [r for r in ranks if r.side(r.p_holm) == "expected"]
    if len(ranks) == 1:
        return f"{_shown(shown) if shown else 'no quantity is shown'} to predict the gain"
    told = _shown(shown) if shown else "none is shown"
    if len(shown) == len(ranks):
        told = "every one is shown"
    tested = sum(found.p is not None for found in ranks)
    never = tested * least_orders_p(layers) >= LEVEL
    foregone = f" ({layers} layers are too few to show any)" if never and not shown else ""
    all_of = f"of all {len(ranks)} quantities, corrected for their number"
    return f"{all_of}, {told} to predict the gain{foregone}"


def _shown(ranks: list[Rank]) -> str:
    named = [f"{heading(r.quantity)} ({correlation(r.estimate.mean)})" for r in ranks if r.estimate]
    return f"{listed(named)} {'is' if len(named) == 1 else 'are'} shown"


def _span(layers: list[str]) -> str:
    """Return the names of the layers; of many the first and the last."""
    return listed(layers) if len(layers) <= _NAMED else f"from {layers[0]} to {layers[-1]}"


def _noise(gains: dict[str, BySeed]) -> str:
    clear = []
    for layer, by_seed in gains.items():
        found = estimate(list(by_seed.values()))
        if found.low is not None and found.high is not None and found.low * found.high > 0:
            clear.append(layer)
    these = f" ({listed(clear, most=_NAMED)})" if 0 < len(clear) < len(gains) else ""
    return (
        f"Of the {len(gains)} gains {len(clear) or 'none'}{these} "
        f"{'has' if len(clear) < 2 else 'have'} a 95% interval that excludes zero. Gains that "
        "differ by less than their noise cannot be put in order, which draws rho to zero."
    )


def _no_width(ranks: list[Rank]) -> list[str]:
    """Tell of intervals without width, which must not be taken for certainty."""
    means = [found.estimate for found in ranks if found.estimate and found.estimate.n > 1]
    if not any((found.high or 0) - (found.low or 0) < 1e-9 for found in means):
        return []
    return [
        "An interval without width says that every seed has the same rho. Few layers have few "
        "orders, so that seeds often agree: that is no certainty."
    ]


def _power(ranks: list[Rank], layers: int) -> list[str]:
    """Tell where the number of layers keeps p-values above the level, and how many it takes."""
    tested = sum(found.p is not None for found in ranks)
    least = least_orders_p(layers)
    if not tested or tested * least < LEVEL:
        return []
    one, all_tested = _layers_needed(1), _layers_needed(tested)
    if least >= LEVEL:
        more = f", and {all_tested} for {tested} quantities together" if all_tested > one else ""
        return [
            f"With {layers} layers p cannot fall below {least:.3g}, so that nothing can be shown "
            f"at the {LEVEL} level, with any number of seeds: it takes {one} layers or more{more}."
        ]
    return [
        f"With {layers} layers and {tested} quantities no corrected p-value can fall below "
        f"{tested * least:.3g}, with any number of seeds: it takes {all_tested} layers or more."
    ]


def _layers_needed(quantities: int) -> int:
    """Return how many layers can give a p-value below the level, corrected for so many."""
    return next(n for n in itertools.count(1) if quantities * least_orders_p(n) < LEVEL)


def _left_out(ranks: list[Rank], seeds: int, begun: int) -> list[str]:
    """Tell of seeds without a rho, and of quantities that were not measured."""
    told = []
    if seeds < begun:
        told.append(
            f"Only {seeds} of {begun} seeds count here, those at which no mixing and all layers "
            "are finished."
        )
    if some := [f"{heading(r.quantity)} ({r.undefined})" for r in ranks if r.undefined]:
        told.append(
            f"Seeds without a rho, of {seeds}: {listed(some, most=len(QUANTITIES))}. There a layer "
            "has no finite value, or all layers have the same."
        )
    return told
