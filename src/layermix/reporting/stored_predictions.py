"""Results from the stored logits of test data: classes, calibration by confidence, agreement.

Shapes: S seeds, N examples, K classes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from layermix.lab.store import RunConfig, RunResult, read_logits
from layermix.lab.study import StudyFolder
from layermix.lab.training.metrics import BINS
from layermix.reporting.statistics import Estimate, crossed_estimate, estimate
from layermix.reporting.statistics.paired import holm, sign_flip_p
from layermix.reporting.verdict import Verdict


@dataclass(frozen=True)
class ClassGap:
    """Accuracy of one class: of a baseline, and the paired difference of a variant from it."""

    label: str
    examples: float  # mean number of test examples
    baseline: Estimate
    gap: Estimate
    p_holm: float  # of the sign-flip test, corrected for all classes


@dataclass(frozen=True)
class Bin:
    """Test examples of all seeds whose confidence is in one of 15 bins of equal width."""

    confidence: float  # mean probability of the predicted class
    accuracy: float
    count: int


@dataclass(frozen=True)
class PredictionSummary:
    """Results of a study from its stored test logits."""

    variant: str  # compared by class: the winner, or the best variant that mixes
    baseline: str
    classes: list[ClassGap]
    majority: float  # share of the most frequent class, mean over runs
    bins: dict[str, list[Bin]]  # by variant
    disagreement: dict[str, dict[str, float]]  # share of examples, mean over seeds
    crossed: dict[str, Estimate]  # "verdict" and "claim", if all seeds have the same test examples


@dataclass(frozen=True)
class _Predictions:
    """Test predictions of one run, each (N,)."""

    labels: np.ndarray
    predicted: np.ndarray
    confidence: np.ndarray

    @classmethod
    def of(cls, stored: Mapping[str, Tensor]) -> "_Predictions":
        logits = stored["test.logits"].double()
        confidence, predicted = logits.softmax(1).max(1)
        return cls(stored["test.labels"].numpy(), predicted.numpy(), confidence.numpy())

    @property
    def correct(self) -> np.ndarray:
        return self.predicted == self.labels


_Runs = dict[str, dict[int, _Predictions]]


def summarize_predictions(
    study: StudyFolder, results: Mapping[RunConfig, RunResult], verdict: Verdict
) -> PredictionSummary | None:
    """Summarize the stored test logits of all finished runs; None if one run has none."""
    runs: _Runs = {}
    for cell in results:
        stored = read_logits(study.path(cell))
        if "test.logits" not in stored or not stored["test.logits"].isfinite().all():
            return None
        runs.setdefault(cell.variant, {})[cell.seed] = _Predictions.of(stored)
    variant, baseline = verdict.winner, verdict.rival or verdict.winner
    if variant == "none":
        variant, baseline = baseline, variant
    same_test = len({result.digests.get("test") for result in results.values()}) == 1
    gaps = {"verdict": verdict.gap, "claim": verdict.claim.gap}
    crossed = {
        name: found
        for name, gap in gaps.items()
        if gap and same_test and (found := _crossed(runs[gap.variant], runs[gap.baseline]))
    }
    names = next(iter(results.values())).classes
    return PredictionSummary(
        variant,
        baseline,
        _class_gaps(runs[variant], runs.get(baseline, {}), names),
        float(np.mean([_majority(run) for by_seed in runs.values() for run in by_seed.values()])),
        {name: reliability_bins(list(by_seed.values())) for name, by_seed in runs.items()},
        _disagreement(runs),
        crossed,
    )


def reliability_bins(runs: Sequence[_Predictions]) -> list[Bin]:
    """Return the bins of a reliability diagram that have examples."""
    confidence = np.concatenate([run.confidence for run in runs])
    correct = np.concatenate([run.correct for run in runs])
    edges = torch.linspace(0, 1, BINS + 1).double().numpy()[1:-1]
    index = np.searchsorted(edges, confidence, side="left")
    return [
        Bin(float(confidence[inside].mean()), float(correct[inside].mean()), int(inside.sum()))
        for inside in (index == k for k in range(BINS))
        if inside.any()
    ]


def _crossed(
    variant: Mapping[int, _Predictions], baseline: Mapping[int, _Predictions]
) -> Estimate | None:
    """Return the difference in accuracy with an interval over seeds and examples together."""
    seeds = sorted(variant.keys() & baseline.keys())
    if len(seeds) < 2:
        return None
    one, other = (np.stack([runs[s].correct for s in seeds]) for runs in (variant, baseline))
    return crossed_estimate(one.astype(float) - other.astype(float))


def _class_gaps(
    variant: Mapping[int, _Predictions], baseline: Mapping[int, _Predictions], names: Sequence[str]
) -> list[ClassGap]:
    """Compare the accuracy of each class; classes without test examples are left out."""
    seeds = sorted(variant.keys() & baseline.keys())
    if not seeds:
        return []
    counts, ours, theirs = (
        np.stack([_by_class(runs[s], len(names))[k] for s in seeds])  # (S, K)
        for runs, k in ((variant, 0), (variant, 1), (baseline, 1))
    )
    kept = [k for k in range(len(names)) if (counts[:, k] > 0).all()]
    p_values = holm([sign_flip_p((ours - theirs)[:, k].tolist()) for k in kept])
    return [
        ClassGap(
            names[k],
            float(counts[:, k].mean()),
            estimate(theirs[:, k].tolist()),
            estimate((ours - theirs)[:, k].tolist()),
            p,
        )
        for k, p in zip(kept, p_values, strict=True)
    ]


def _by_class(run: _Predictions, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the number of examples of each class and its accuracy, both (K,); 0/0 becomes 0."""
    counts = np.bincount(run.labels, minlength=classes)
    correct = np.bincount(run.labels, weights=run.correct, minlength=classes)
    return counts, correct / np.maximum(counts, 1)


def _majority(run: _Predictions) -> float:
    return np.bincount(run.labels).max() / len(run.labels)


def _disagreement(runs: _Runs) -> dict[str, dict[str, float]]:
    """Return how often two variants of the same seed predict different classes."""
    found: dict[str, dict[str, float]] = {}
    for one, by_seed in runs.items():
        for other, others in runs.items():
            if seeds := by_seed.keys() & others.keys():
                shares = [(by_seed[s].predicted != others[s].predicted).mean() for s in seeds]
                found.setdefault(one, {})[other] = float(np.mean(shares))
    return found
