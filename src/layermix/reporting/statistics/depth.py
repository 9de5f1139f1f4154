"""Depth alone as the baseline: does the best quantity order the layers better than their order?

Depth has no expected sign, and is taken on the side on which it does best: seed by seed, or study
by study, a quantity leads by

    expected sign * its rho - sign of depth's mean rho * depth's rho

A lead over seeds is that of one net's few layers, and shows nothing of others. Over studies it may:
by a sign-flip test, corrected for picking the best of many afterwards.
"""

from collections.abc import Sequence
from typing import Any, Literal, Protocol

from layermix.reporting.formatting import heading, interval, mean_rho, seeds_word, signed
from layermix.reporting.statistics.rank_correlation import side_of_zero
from layermix.reporting.statistics.stats import Estimate, estimate, sign_flip_p

_LEADS = (-2.0, 2.0)  # bounds of a difference of two correlations
_ROUNDING = 1e-12


class Order(Protocol):
    """How a quantity orders the layers: `Rank` seed by seed, `Across` study by study."""

    @property
    def quantity(self) -> str:
        """Its name."""
        ...

    @property
    def expected(self) -> int:
        """The sign of rho that the hypothesis expects."""
        ...

    @property
    def rhos(self) -> dict[Any, float]:
        """Rho by seed or by study."""
        ...


Over = Literal["seeds", "studies"]
"""What rhos are over: seeds of one net, or studies, which are independent."""


def against_depth(orders: Sequence[Order], depth: Order, over: Over) -> str:
    """Return depth's rho beside that of the best quantity; nothing where depth has none.

    Parameters
    ----------
    orders
        How each quantity orders the layers.
    depth
        The same for their place in the net.
    over
        What their rhos are over.
    """
    if not depth.rhos:
        return ""
    told = (
        "Depth alone, which measures nothing, is the baseline that a quantity must beat, whichever "
        f"way depth runs: {_rho(depth, over)}."
    )
    shared = [order for order in orders if order.rhos.keys() & depth.rhos.keys()]
    if not shared:
        return told
    best = max(shared, key=lambda order: order.expected * _mean(order).mean)
    which = f"The best of the {len(shared)} quantities, {heading(best.quantity)},"
    subject = which if len(shared) > 1 else heading(best.quantity)
    return f"{told} {subject} {_beside(best, depth, len(shared), over)}."


def _mean(order: Order) -> Estimate:
    return estimate(list(order.rhos.values()))


def _rho(order: Order, over: Over) -> str:
    return mean_rho(_mean(order), seeds_word if over == "seeds" else lambda n: f"{n} studies")


def _beside(best: Order, depth: Order, tried: int, over: Over) -> str:
    """Return what the best quantity has, and whether that is shown to be more than depth has."""
    lead = estimate(_leads(best, depth))
    if lead.mean <= _ROUNDING:
        return f"does no better: {_rho(best, over)}"
    ends = "" if lead.low is None else f" (95% interval {interval(lead, signed, _LEADS)})"
    more = f"has {_rho(best, over)}, {signed(lead.mean)} beyond depth{ends}"
    if over == "seeds":
        return f"{more}: the layers of one net cannot show that it beats depth"
    if side_of_zero(1, lead, min(1.0, tried * sign_flip_p(lead.values))) == "expected":
        chosen = f", also when corrected for the choice among {tried}" if tried > 1 else ""
        return f"{more}: it beats depth{chosen}"
    return f"{more}: it is not shown to beat depth"


def _leads(order: Order, depth: Order) -> list[float]:
    """Return by how much a quantity is ahead of depth, both on their side."""
    side = -1 if _mean(depth).mean < 0 else 1
    own, base = order.rhos, depth.rhos
    return [order.expected * own[key] - side * base[key] for key in own if key in base]
