"""The pictures of a report, each computed when it is drawn; one file for each."""

from layermix.lab.answer.summary import Summary
from layermix.lab.figures.accuracy import accuracy
from layermix.lab.figures.curves import curves
from layermix.lab.figures.embedding import embedding
from layermix.lab.figures.geometry import geometry
from layermix.lab.figures.plane import plane
from layermix.lab.figures.prediction import prediction
from layermix.lab.figures.snnl import snnl
from layermix.lab.figures.style import Figure
from layermix.lab.figures.weights import weights
from layermix.lab.study import Study

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
