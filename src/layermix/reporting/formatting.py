"""How values, places and tests are put into words: the same in every form of the answer."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from layermix.geometry.quantities import POSITIVE, QUANTITIES, SHARE
from layermix.mixing.methods import is_method
from layermix.reporting.statistics.bounds import ANY, Bounds, cut
from layermix.reporting.statistics.layer_permutation import EXACT_LAYERS, RANDOM_ORDERS
from layermix.reporting.statistics.stats import EXACT_SEEDS, RANDOM_FLIPS, Estimate

ABSENT = "–"
_WIDEST = 9  # characters of a number in a table; what is longer is written with an exponent


class Measure(NamedTuple):
    """A measure's heading, what that stands for, and between what its values lie."""

    heading: str
    meaning: str
    bounds: Bounds


MEASURES = {
    "accuracy": Measure("accuracy", "share of images that are classified rightly", SHARE),
    "nll": Measure("NLL", "negative log-likelihood", POSITIVE),
    "brier": Measure("Brier", "squared distance of probabilities and one-hot label", (0.0, 2.0)),
    "ece": Measure("ECE", "expected calibration error", SHARE),
}


def place(variant: str) -> str:
    """Return what a variant does."""
    words = {
        "none": "no mixing",
        "input": "mixing at the input",
        "final": "mixing at the final layer",
        "logits": "mixing the logits",
        "random": "mixing at a place drawn anew each step",
        "auto": "mixing at a place that is chosen while training",
        "hidden": "mixing after a block drawn anew each step",
        "last": "mixing after the last block",
    }
    if is_method(variant):
        return f"mixing by {variant}"
    return words.get(variant, f"mixing after {variant}")


def percent(share: float) -> str:
    """Return a share as percent: 0.97321 is ``97.32%``."""
    return f"{in_percent(share)}%"


def in_percent(share: float) -> str:
    """Return a share in percent without the sign, where a heading has it."""
    return number(100 * share, 2)


def percentage_points(share: float) -> str:
    """Return a difference of shares in percentage points, with its sign, cut at ±100."""
    return signed(100 * min(max(share, -1.0), 1.0))


def number(value: float, digits: int) -> str:
    """Return a number with fixed digits and a true minus sign; ``1.2e+06`` where that is long."""
    text = f"{value:,.{digits}f}"
    if len(text) > _WIDEST:
        text = f"{value:.1e}"
    return text.replace("-", "−")


def significant(value: float) -> str:
    """Return a number with three significant digits; ``1.2e−07`` where that is long."""
    size = 0 if value == 0 else math.floor(math.log10(abs(value)))
    if not -4 <= size < 6:
        return f"{value:.1e}".replace("-", "−")
    return number(value, max(0, 2 - size))


def correlation(rho: float) -> str:
    """Return a correlation with its sign, cut at ±1, where the ends of intervals lie beyond."""
    return signed(min(max(rho, -1.0), 1.0))


def signed(value: float) -> str:
    """Return a number with its sign and two digits."""
    return f"{value:+.2f}".replace("-", "−")


def heading(quantity: str) -> str:
    """Return what a quantity of a layer is called in reports."""
    return QUANTITIES[quantity].heading if quantity in QUANTITIES else quantity


def decimals(value: float) -> int:
    """Return how many decimals show two significant digits, or one below 100."""
    if not 0 < value < 100:
        return 0
    return max(1, 1 - math.floor(math.log10(value)))


def interval(found: Estimate | None, show: Callable[[float], str], bounds: Bounds = ANY) -> str:
    """Return the ends of an interval, as ``96.91 to 97.73``; a dash where there is none.

    Parameters
    ----------
    found
        The mean with its interval.
    show
        How an end is worded.
    bounds
        The least and greatest possible value, at which the interval is cut.
    """
    shown = cut(found, bounds) if found else None
    if shown is None or shown.low is None or shown.high is None:
        return ABSENT
    return f"{show(shown.low)} to {show(shown.high)}"


def p_value(p: float) -> str:
    """Return a p-value with three significant digits."""
    return "< 0.001" if p < 0.001 else f"{p:.3g}"


def p_name(seeds: int) -> str:
    """Return what the p-value of the sign-flip test is called: exact where it took every flip."""
    return "exact p" if seeds <= EXACT_SEEDS else f"p ({RANDOM_FLIPS:,} random sign flips)"


def flip_test(seeds: int) -> str:
    """Return the name of the sign-flip test with that many seeds."""
    if seeds <= EXACT_SEEDS:
        return "the exact sign-flip test"
    return f"the sign-flip test, with {RANDOM_FLIPS:,} random sign flips instead of all"


def orders_p_name(layers: int) -> str:
    """Return what the p-value over layers is called: exact where it took every order."""
    return "exact p" if layers <= EXACT_LAYERS else "p"


def orders_word(layers: int) -> str:
    """Return what that p-value is over."""
    every = "the" if layers <= EXACT_LAYERS else f"{RANDOM_ORDERS:,} random"
    return f"{every} orders of {layers} layers"


def seeds_word(count: int, planned: int | None = None) -> str:
    """Return ``8 seeds``, or ``2 of 8 seeds`` where more are planned."""
    most = count if planned is None else planned
    some = f"{count} of " if most != count else ""
    return f"{some}{most} seed{'s' * (most != 1)}"


def mean_rho(found: Estimate, count: Callable[[int], str] = seeds_word) -> str:
    """Return a mean rho with what it is over, as ``8 seeds``, and its interval."""
    mean = f"mean rho {correlation(found.mean)} over {count(found.n)}"
    if found.low is None:
        return f"{mean} (no interval)"
    return f"{mean} (95% interval {interval(found, correlation)})"


def listed(names: Sequence[str], most: int = 8) -> str:
    """Return names as ``a, b and c``; after `most` of them only how many more there are."""
    shown = list(names[:most])
    if more := len(names) - len(shown):
        shown.append(f"{more} more")
    return " and ".join(filter(None, [", ".join(shown[:-1]), shown[-1]]))
