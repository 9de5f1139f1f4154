"""Statistics of paired runs and of layers: intervals, tests, corrections, rank correlations.

The functions take numbers and return numbers; the text and the look of reports are elsewhere.
"""

from layermix.reporting.statistics.paired import (
    BASELINES,
    LEVEL,
    Bounds,
    BySeed,
    Difference,
    Estimate,
    differences,
    estimate,
    least_p,
)
from layermix.reporting.statistics.prediction import (
    MIN_LAYERS,
    Lead,
    Prediction,
    lead,
    over_studies,
    predict,
)
from layermix.reporting.statistics.ranks import Rank, least_orders_p

__all__ = ["BASELINES", "LEVEL", "MIN_LAYERS", "Bounds", "BySeed", "Difference", "Estimate"]
__all__ += ["Lead", "Prediction", "Rank", "differences", "estimate", "lead", "least_orders_p"]
__all__ += ["least_p", "over_studies", "predict"]
