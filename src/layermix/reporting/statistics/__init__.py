"""Statistics of paired runs: intervals, tests, corrections, verdicts, power, planned looks.

The functions take numbers and return numbers; the text and the look of reports are elsewhere.
"""

from layermix.reporting.statistics.comparisons import (
    Difference,
    Outcome,
    Pair,
    Scale,
    compare_pairs,
    scales,
    turned,
)
from layermix.reporting.statistics.crossed import crossed_estimate
from layermix.reporting.statistics.looks import Look, look_at
from layermix.reporting.statistics.paired import LEVEL, Bounds, BySeed, Estimate, estimate, least_p
from layermix.reporting.statistics.power import POWER, detectable, power, seeds_needed
from layermix.reporting.statistics.reliability import RELIABLE, reliability

__all__ = ["LEVEL", "POWER", "RELIABLE", "Bounds", "BySeed", "Difference", "Estimate"]
__all__ += ["Look", "Outcome", "Pair", "Scale", "compare_pairs", "crossed_estimate", "detectable"]
__all__ += ["estimate", "least_p", "look_at", "power", "reliability", "scales", "seeds_needed"]
__all__ += ["turned"]
