"""Formatting of numbers, names and intervals, shared by all formats of the report."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from layermix.geometry.quantities import QUANTITIES
from layermix.lab.training.metrics import BOUNDS
from layermix.mixing.methods import is_method, method_names
from layermix.reporting.statistics import LEVEL, Bounds, Estimate
from layermix.reporting.statistics.paired import EXACT_SEEDS, RANDOM_FLIPS

ABSENT = "–"
_ANY: Bounds = (-math.inf, math.inf)
_MAX_WIDTH = 9  # characters of a number in a table; longer ones have an exponent
_VARIANTS = {
    "none": "no mixing",
    "input": "mixing at the input",
    "embedding": "mixing the embedding",
    "final": "mixing at the final layer",
    "logits": "mixing the logits",
    "random": "mixing at a random layer in each step",
    "auto": "mixing at a layer that is chosen during training",
    "hidden": "mixing after a random block in each step",
    "last": "mixing after the last block",
}


class Metric(NamedTuple):
    """Heading, meaning and range of a metric; accuracy alone is better if it is higher."""

    heading: str
    meaning: str
    bounds: Bounds


_TEXTS = {
    "accuracy": ("accuracy", "share of examples that are classified correctly"),
    "nll": ("NLL", "negative log-likelihood, in nats"),
    "brier": ("Brier", "squared distance of probabilities and one-hot label"),
    "ece": ("ECE", "expected calibration error, 15 bins of equal width"),
    "classwise_ece": ("classwise ECE", "mean calibration error of the class probabilities"),
    "adaptive_ece": ("adaptive ECE", "calibration error, 15 bins of equal size"),
    "aurc": ("AURC", "area under the risk-coverage curve: errors of the most confident"),
    "temperature": ("temperature", "divides the logits; fitted to validation NLL"),
    "nll_scaled": ("NLL, scaled", "NLL after temperature scaling, in nats"),
    "brier_scaled": ("Brier, scaled", "Brier score after temperature scaling"),
    "ece_scaled": ("ECE, scaled", "expected calibration error after temperature scaling"),
}
METRICS = {name: Metric(*texts, BOUNDS[name]) for name, texts in _TEXTS.items()}
MAIN_METRICS = ("accuracy", "nll", "brier", "ece")


def variant_meaning(variant: str) -> str:
    """Return a description of a variant, such as ``mixing at the input``."""
    if len(methods := method_names(variant)) > 1:
        return f"mixing by {listed(methods, len(methods)).replace(' and ', ' or ')} in each step"
    if is_method(variant):
        return f"mixing by {variant}"
    return _VARIANTS.get(variant, f"mixing after {variant}")


def heading(quantity: str) -> str:
    """Return the heading of a quantity in reports; return other names unchanged."""
    return QUANTITIES[quantity].heading if quantity in QUANTITIES else quantity


def number(value: float, digits: int) -> str:
    """Format a number with fixed decimals and a minus sign; long ones as ``1.2e+06``."""
    text = f"{value:z,.{digits}f}"
    if len(text) > _MAX_WIDTH:
        text = f"{value:.1e}"
    return text.replace("-", "−")


def significant(value: float) -> str:
    """Format a number with three significant digits; very small or large ones as ``1.2e−07``."""
    size = 0 if value == 0 else math.floor(math.log10(abs(value)))
    if not -4 <= size < 6:
        return f"{value:.1e}".replace("-", "−")
    return number(value, max(0, 2 - size))


def signed(value: float, digits: int = 2) -> str:
    """Format a number with its sign and fixed decimals."""
    return f"{value:+z.{digits}f}".replace("-", "−")


def percent(share: float) -> str:
    """Format a share in percent without the percent sign: 0.97321 as ``97.32``."""
    return number(100 * share, 2)


def percentage_points(share: float) -> str:
    """Format a difference of shares in percentage points, clipped to [-100, 100]."""
    return signed(100 * min(max(share, -1.0), 1.0))


def correlation(rho: float) -> str:
    """Format a correlation or a bound of its interval, clipped to [-1, 1]."""
    return signed(min(max(rho, -1.0), 1.0))


def correlation_difference(value: float) -> str:
    """Format a difference of correlations or a bound of its interval, clipped to [-2, 2]."""
    return signed(min(max(value, -2.0), 2.0))


def seconds(value: float) -> str:
    """Format seconds as ``0.012``, ``1.5`` or ``12.3``; from 100 on, without decimals."""
    return number(value, 0 if not 0 < value < 100 else max(1, 1 - math.floor(math.log10(value))))


def interval(found: Estimate | None, show: Callable[[float], str], bounds: Bounds = _ANY) -> str:
    """Format an interval as ``96.91 to 97.73``, clipped to the possible values.

    Returns a dash if there is no interval.
    """
    shown = found.clipped(bounds) if found else None
    if shown is None or shown.low is None or shown.high is None:
        return ABSENT
    return f"{show(shown.low)} to {show(shown.high)}"


def difference_text(found: Estimate) -> str:
    """Format a difference of accuracies in percentage points, with its interval."""
    if found.low is None:
        return f"{percentage_points(found.mean)} points (one seed, no interval)"
    ends = interval(found, percentage_points)
    return f"{percentage_points(found.mean)} points (95% interval {ends}, n = {found.n})"


def metric_text(value: float, metric: str) -> str:
    """Format a metric: accuracy in percent, all others with four decimals."""
    return percent(value) if metric == "accuracy" else number(value, 4)


def metric_difference(value: float, metric: str) -> str:
    """Format a difference of metrics with its sign: accuracies in percentage points."""
    if metric == "accuracy":
        return percentage_points(value)
    return signed(value, 4)


def p_value(p: float | None) -> str:
    """Format a p-value with three significant digits; a dash for None.

    Limits are ``< 0.001``, and ``< 0.05`` for a value below that rounds to it.
    """
    if p is None or p < 0.001:
        return ABSENT if p is None else "< 0.001"
    text = f"{p:.3g}"
    return f"< {LEVEL}" if p < LEVEL <= float(text) else text


def p_relation(p: float | None) -> str:
    """Format a p-value with its relation sign: ``= 0.03`` or ``< 0.001``."""
    text = p_value(p)
    return text if text.startswith("<") else f"= {text}"


def p_heading(seeds: int) -> str:
    """Return the column heading for p-values of the sign-flip test."""
    return "exact p" if seeds <= EXACT_SEEDS else f"p ({RANDOM_FLIPS:,} random sign flips)"


def plural(count: int, noun: str, verb: str = "") -> str:
    """Format a count with its noun, ``8 seeds``, and optionally a verb, ``8 seeds are``."""
    plural = {"": "", "is": " are", "has": " have"}[verb]
    singular = f" {verb}" if verb else ""
    plurals = {"study": "studies", "end of an interval": "ends of intervals"}
    form = noun if count == 1 else plurals.get(noun, f"{noun}s")
    return f"{count:,} {form}{singular if count == 1 else plural}"


def listed(names: Sequence[str], most: int = 8) -> str:
    """Join names as ``a, b and c``; more than `most` names as ``a, b and 3 more``."""
    shown = list(names[:most])
    if more := len(names) - len(shown):
        shown.append(f"{more} more")
    return " and ".join(filter(None, [", ".join(shown[:-1]), shown[-1]]))
