"""How numbers look in every form of the report."""

from layermix.lab.stats import Estimate


def percent(share: float) -> str:
    """Return a share as percent: 0.97321 is ``97.32%``."""
    return f"{100 * share:.2f}%"


def number(value: float, digits: int) -> str:
    """Return a number with fixed digits and a true minus sign."""
    return f"{value:,.{digits}f}".replace("-", "−")


def interval(found: Estimate, scale: float = 1.0, digits: int = 4) -> str:
    """Return the ends of an interval, as ``96.91 to 97.73``; a dash with a single seed."""
    if found.low is None or found.high is None:
        return "–"
    return f"{number(scale * found.low, digits)} to {number(scale * found.high, digits)}"


def p_value(p: float) -> str:
    """Return a p-value with three significant digits."""
    return "< 0.001" if p < 0.001 else f"{p:.3g}"
