"""The pictures of a report, each computed when it is drawn; one file for each."""

from layermix.experiments.study import Study
from layermix.reporting.figures.accuracy import accuracy
from layermix.reporting.figures.curves import curves
from layermix.reporting.figures.embedding import embedding
from layermix.reporting.figures.geometry import geometry
from layermix.reporting.figures.plane import plane
from layermix.reporting.figures.prediction import prediction
from layermix.reporting.figures.snnl import snnl
from layermix.reporting.figures.style import Figure
from layermix.reporting.figures.weights import weights
from layermix.reporting.summary import Summary

__all__ = [
    "Figure",
    "accuracy",
    "curves",
    "draw_all",
    "embedding",
    "geometry",
    "plane",
    "prediction",
    "snnl",
    "weights",
]


def draw_all(study: Study, summary: Summary) -> list[Figure]:
    """Draw all pictures of a study, in the order of a report."""
    return [
        *accuracy(summary),
        *curves(summary),
        *plane(),
        *embedding(study, summary.classes),
        *snnl(summary),
        *geometry(summary),
        *prediction(summary),
        *weights(summary),
    ]
