"""Classification metrics of logits: accuracy, proper scores, calibration, selective prediction.

Shapes: N examples, K classes. Logits are (N, K), labels int64 (N,).
"""

import math
import warnings
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

BINS = 15
_LOG_TEMPERATURES = (math.log(0.01), math.log(100.0))
_OF_PROBABILITIES = ("nll", "brier", "ece", "classwise_ece", "adaptive_ece", "aurc")
SCALED = ("nll", "brier", "ece")
"""Metrics that are also computed after temperature scaling, as ``nll_scaled`` and so on."""
_RANGES = {"accuracy": 1.0, "nll": math.inf, "brier": 2.0, "ece": 1.0, "classwise_ece": 1.0}
_RANGES |= {"adaptive_ece": 1.0, "aurc": 1.0, "temperature": math.inf}
_RANGES |= {f"{name}_scaled": _RANGES[name] for name in SCALED}
BOUNDS = {name: (0.0, high) for name, high in _RANGES.items()}
"""The smallest and the largest possible value of each metric."""


def metrics(logits: Tensor, labels: Tensor) -> dict[str, float]:
    """Return the classification metrics of logits.

    They are ``accuracy`` in [0, 1]; ``nll``, the mean negative log-likelihood in nats; ``brier``,
    the mean squared distance between probabilities and one-hot labels, in [0, 2] (Brier, 1950);
    three calibration errors in [0, 1] with 15 bins: ``ece`` (Guo et al., 2017),
    ``classwise_ece`` (Kull et al., 2019) and ``adaptive_ece``; and ``aurc``. If a logit is not
    finite, all but accuracy are NaN.
    """
    found = main_metrics(logits, labels)
    logits, labels = logits.cpu().double(), labels.cpu()
    if not logits.isfinite().all():
        return dict.fromkeys(_OF_PROBABILITIES, math.nan) | found
    probs = logits.softmax(1)
    confidence, correct = probs.amax(1), (logits.argmax(1) == labels).double()
    return found | {
        "classwise_ece": classwise_ece(probs, labels),
        "adaptive_ece": adaptive_ece(confidence, correct),
        "aurc": aurc(confidence, correct),
    }


def main_metrics(logits: Tensor, labels: Tensor) -> dict[str, float]:
    """Return ``accuracy``, ``nll``, ``brier`` and ``ece`` of logits; see `metrics`."""
    logits, labels = logits.cpu().double(), labels.cpu()
    accuracy = float((logits.argmax(1) == labels).double().mean())
    if not logits.isfinite().all():
        return {"accuracy": accuracy, "nll": math.nan, "brier": math.nan, "ece": math.nan}
    probs = logits.softmax(1)
    distances = (probs - F.one_hot(labels, logits.shape[1])).square().sum(1)
    return {
        "accuracy": accuracy,
        "nll": float(F.cross_entropy(logits, labels)),
        "brier": float(distances.mean()),
        "ece": ece(probs, labels),
    }


def evaluate(
    logits: Mapping[str, Tensor], labels: Mapping[str, Tensor]
) -> dict[str, dict[str, float]]:
    """Return the metrics of the splits ``"val"`` and ``"test"``.

    Those of ``"test"`` include the ``temperature`` that minimizes the NLL of ``"val"``, and the
    metrics `SCALED` after division of the logits by it (Guo et al., 2017).
    """
    found = {name: metrics(logits[name], labels[name]) for name in ("val", "test")}
    temperature = fit_temperature(logits["val"], labels["val"])
    scaled = metrics(logits["test"].double() / temperature, labels["test"])
    found["test"] |= {"temperature": temperature} | {f"{m}_scaled": scaled[m] for m in SCALED}
    return found


def fit_temperature(logits: Tensor, labels: Tensor) -> float:
    """Return the temperature in [0.01, 100] that minimizes the NLL of logits / temperature.

    The NLL is convex in 1 / temperature. If a logit is not finite, the temperature is 1.
    """
    from scipy.optimize import minimize_scalar

    logits, labels = logits.cpu().double(), labels.cpu()
    if not logits.isfinite().all():
        return 1.0
    found = minimize_scalar(
        lambda log_t: float(F.cross_entropy(logits / math.exp(log_t), labels)),
        bounds=_LOG_TEMPERATURES,
        method="bounded",
        options={"xatol": 1e-8},
    )
    return math.exp(found.x)


def ece(probs: Tensor, labels: Tensor) -> float:
    """Return the expected calibration error of torchmetrics, with bins of equal width."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # from imports of torchmetrics
        from torchmetrics.functional.classification import multiclass_calibration_error

    found = multiclass_calibration_error(probs, labels, probs.shape[1], n_bins=BINS, norm="l1")
    return float(found)


def classwise_ece(probs: Tensor, labels: Tensor) -> float:
    """Return the mean over classes of the calibration error of the class's probability."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torchmetrics.functional.classification import binary_calibration_error

    found = [
        binary_calibration_error(p, (labels == k).long(), BINS, "l1", validate_args=False)
        for k, p in enumerate(probs.T.contiguous())
    ]
    return float(torch.stack(found).mean())


def adaptive_ece(confidence: Tensor, correct: Tensor) -> float:
    """Return the calibration error with bins of equal numbers of examples (Nguyen, O'Connor, 2015).

    `confidence` is the probability of the predicted class, and `correct` is 1 where it is the
    label, else 0; both float64 (N,). Examples of equal confidence count with their mean.
    """
    order = confidence.argsort(stable=True)
    gaps = (_tie_means(correct, confidence) - confidence)[order]
    bins = gaps.tensor_split(min(BINS, len(gaps)))
    return sum(float(part.sum().abs()) for part in bins) / len(gaps)


def aurc(confidence: Tensor, correct: Tensor) -> float:
    """Return the area under the risk-coverage curve (Geifman, Uziel, El-Yaniv, 2019), in [0, 1].

    It is the mean over n = 1 ... N of the error rate of the n most confident examples. Examples of
    equal confidence are in random order, so that the expectation is returned.
    """
    order = confidence.argsort(descending=True, stable=True)
    errors = _tie_means(1 - correct, confidence)[order]
    risk = errors.cumsum(0) / torch.arange(1, len(errors) + 1)
    return float(risk.mean())


def _tie_means(values: Tensor, keys: Tensor) -> Tensor:
    """Replace each value by the mean of the values with the same key."""
    _, group, counts = keys.unique(return_inverse=True, return_counts=True)
    sums = values.new_zeros(len(counts)).index_add_(0, group, values)
    return (sums / counts)[group]
