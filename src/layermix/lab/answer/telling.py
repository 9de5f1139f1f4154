"""The prediction in words: does a layer's geometry tell what mixing there gains?"""

import math

from layermix.geometry.quantities import QUANTITIES
from layermix.lab.answer.ranks import BySeed, Rank
from layermix.lab.answer.stats import LEVEL, estimate, least_p
from layermix.lab.answer.words import (
    correlation,
    flip_test,
    heading,
    listed,
    mean_rho,
    p_name,
    seeds_word,
)

_NAMED = 6  # layers that are named one by one


def sentences(ranks: list[Rank]) -> list[str]:
    """Return the answer: SNNL and all quantities in one sentence, then what goes against it.

    Parameters
    ----------
    ranks
        How each quantity orders the layers.
    """
    if not any(found.estimate for found in ranks):
        return [
            "No quantity of the layers has a rank correlation with the gain here: at every seed "
            "their values or gains are all equal, or some are missing."
        ]
    snnl = next((r for r in ranks if r.quantity == "snnl" and r.estimate), None)
    parts = [*([_snnl(snnl)] if snnl else []), *([_all(ranks)] if len(ranks) > 1 else [])]
    first = "; ".join(parts) if snnl else f"here {_all(ranks)}"
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
    holm = f", corrected by Holm’s method over {len(ranks)} quantities" if len(ranks) > 1 else ""
    return [
        f"Rho is Spearman’s rank correlation, over the {layers} layers {_span(list(gains))}, "
        "between a quantity after training without mixing and the gain in test accuracy from "
        "mixing there, seed by seed: +1 is the same order, −1 the reverse. Its mean over "
        f"{seeds_word(seeds)} has a 95% Student-t interval, cut at ±1; p is that of "
        f"{flip_test(seeds)}{holm}. "
        "Whether SNNL predicts the gain was asked beforehand, so there p counts uncorrected.",
        f"Only {layers} layers are put in order: at one seed a perfect order arises by chance with "
        f"probability 1/{layers}! = 1/{math.factorial(layers):,}. Nor are the layers of one net "
        "independent: whatever rises or falls from layer to layer has the rho of depth, which is "
        "shown to compare.",
        "Intervals and p-values are over seeds of one net on one data set. However narrow, they "
        "say nothing of other nets or other data.",
        _noise(gains),
        *_no_width(ranks),
        *_power(ranks, seeds),
        *_left_out(ranks, seeds, begun),
    ]


def _snnl(found: Rank) -> str:
    assert found.estimate is not None
    lead = {
        "expected": "layers with a low SNNL gain more from mixing here",
        "other": "against the hypothesis, layers with a low SNNL gain less from mixing here",
        "undecided": "SNNL is not shown to predict where mixing gains most",
    }[found.side(found.p)]
    return f"{lead}: {mean_rho(found.estimate)}, {p_name(found.estimate.n)} = {found.p:.3g}"


def _all(ranks: list[Rank]) -> str:
    shown = [r for r in ranks if r.side(r.p_holm) == "expected"]
    if len(ranks) == 1:
        return f"{_shown(shown) if shown else 'no quantity is shown'} to predict the gain"
    told = _shown(shown) if shown else "none is shown"
    if len(shown) == len(ranks):
        told = "every one is shown"
    return f"of all {len(ranks)} quantities, corrected for their number, {told} to predict the gain"


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


def _power(ranks: list[Rank], seeds: int) -> list[str]:
    """Tell where the number of seeds keeps p-values above the level, and how many it takes."""
    tested = sum(found.p is not None for found in ranks)
    least = least_p(seeds)
    if not tested or tested * least < LEVEL:
        return []
    enough = next(n for n in range(2, 100) if tested * 2.0 ** (1 - n) < LEVEL)
    alone = "" if least < LEVEL else f" and no p below {least:.3g}"
    return [
        f"With {seeds_word(seeds)} and {tested} quantities no corrected p-value can fall below "
        f"{min(1, tested * least):.3g}{alone}: it takes {enough} seeds or more."
    ]


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
