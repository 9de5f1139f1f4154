"""Detection of examples of other classes, by scores of the logits.

A score is high for examples of the known classes: the largest probability (Hendrycks, Gimpel,
2017), the largest logit (Hendrycks et al., 2022), and the negative energy, the log-sum-exp of the
logits (Liu et al., 2020).

Shapes: N examples, K classes.
"""

import warnings
from collections.abc import Callable

import torch
from torch import Tensor

SCORES: dict[str, Callable[[Tensor], Tensor]] = {
    "max softmax": lambda logits: logits.softmax(1).amax(1),
    "max logit": lambda logits: logits.amax(1),
    "energy": lambda logits: logits.logsumexp(1),
}


def detection(known: Tensor, other: Tensor) -> dict[str, dict[str, float]]:
    """Return how well scores of logits (N, K) separate known classes from others.

    For each score: ``auroc``, the area under the ROC curve with known examples as positive, and
    ``fpr95``, the share of other examples that are accepted at the largest threshold which accepts
    95% of the known ones; both in [0, 1], by torchmetrics.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # from imports of torchmetrics
        from torchmetrics.functional.classification import (
            binary_auroc,
            binary_specificity_at_sensitivity,
        )

    target = torch.cat([torch.ones(len(known)), torch.zeros(len(other))]).int()
    found = {}
    for name, score in SCORES.items():
        values = torch.cat([score(known.double()), score(other.double())])
        ranks = values.unique(return_inverse=True)[1].double()
        scores = ranks / max(1.0, float(ranks.max()))  # in [0, 1], or a sigmoid would round them
        specificity, _ = binary_specificity_at_sensitivity(scores, target, min_sensitivity=0.95)
        auroc = binary_auroc(scores, target)
        found[name] = {"auroc": float(auroc), "fpr95": 1 - float(specificity)}
    return found
