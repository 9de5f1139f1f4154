"""The figures of a report, in the order of the report."""

from layermix.lab.study import StudyFolder
from layermix.reporting.figures.calibration_curves import calibration_curves
from layermix.reporting.figures.curves import (
    geometry_curves,
    seed_curves,
    snnl_curves,
    training_curves,
    weight_curves,
)
from layermix.reporting.figures.embedding import embedding
from layermix.reporting.figures.gains import gains
from layermix.reporting.figures.intervals import accuracy, differences, snnl_at_end
from layermix.reporting.figures.mixed_examples import examples
from layermix.reporting.figures.severity_curves import severity_curves
from layermix.reporting.figures.style import Figure
from layermix.reporting.summary import Summary

__all__ = ["Figure", "draw_all"]


def draw_all(study: StudyFolder, summary: Summary) -> list[Figure]:
    """Draw all figures of a study, except for those whose data are missing."""
    return [
        *accuracy(summary),
        *differences(summary),
        *calibration_curves(summary),
        *training_curves(summary),
        *seed_curves(summary),
        *examples(study),
        *embedding(study, summary.classes),
        *snnl_curves(summary),
        *snnl_at_end(summary),
        *geometry_curves(summary),
        *gains(summary),
        *weight_curves(summary),
        *severity_curves(summary),
    ]
