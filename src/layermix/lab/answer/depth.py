"""Depth alone as the baseline: does the best quantity order the layers better than their order?

A quantity leads by how much its rho, taken on the expected side, is above that of depth, seed by
seed or study by study. The best of many is picked afterwards, so its p-value is corrected for that.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from layermix.lab.answer.ranks import side_of_zero
from layermix.lab.answer.stats import Estimate, estimate, sign_flip_p
from layermix.lab.answer.words import heading, interval, mean_rho, seeds_word, signed

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


def against_depth(
    orders: Sequence[Order], depth: Order, count: Callable[[int], str] = seeds_word
) -> str:
    """Return depth's rho beside that of the best quantity; nothing where depth has none.

    Parameters
    ----------
    orders
        How each quantity orders the layers.
    depth
        The same for their place in the net.
    count
        Words what rho is a mean over, as ``8 seeds``.
    """
    if not depth.rhos:
        return ""
    own = mean_rho(_mean(depth), count)
    told = f"Depth alone, which measures nothing, is the baseline that a quantity must beat: {own}."
    shared = [order for order in orders if order.rhos.keys() & depth.rhos.keys()]
    if not shared:
        return told
    best = max(shared, key=lambda order: order.expected * _mean(order).mean)
    which = f"The best of the {len(shared)} quantities, {heading(best.quantity)},"
    subject = which if len(shared) > 1 else heading(best.quantity)
    return f"{told} {subject} {_beside(best, depth, len(shared), count)}."


def _mean(order: Order) -> Estimate:
    return estimate(list(order.rhos.values()))


def _beside(best: Order, depth: Order, tried: int, count: Callable[[int], str]) -> str:
    """Return what the best quantity has, and whether that is shown to be more than depth has."""
    own = mean_rho(_mean(best), count)
    leads = [best.expected * rho - depth.rhos[k] for k, rho in best.rhos.items() if k in depth.rhos]
    lead = estimate(leads)
    if lead.mean <= _ROUNDING:
        return f"does no better: {own}"
    ends = "" if lead.low is None else f" (95% interval {interval(lead, signed, _LEADS)})"
    more = f"has {own}, {signed(lead.mean)} beyond depth on the expected side{ends}"
    if side_of_zero(1, lead, min(1.0, tried * sign_flip_p(leads))) == "expected":
        chosen = f", also when corrected for the choice among {tried}" if tried > 1 else ""
        return f"{more}: it beats depth{chosen}"
    return f"{more}: it is not shown to beat depth"
