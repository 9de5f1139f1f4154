"""Evaluation of trained models on other data: corrupted images, other classes, shifted data."""

from layermix.lab.evaluation.study_evaluation import (
    EvaluationConfig,
    evaluate_study,
    read_evaluation,
)

__all__ = ["EvaluationConfig", "evaluate_study", "read_evaluation"]
