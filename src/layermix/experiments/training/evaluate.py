"""How good are a net's predictions: accuracy, and how far its probabilities can be trusted.

Shapes: N images, K classes.
"""

import warnings
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from layermix.experiments.data import Normalise, Split

_BATCH = 512
_BINS = 15


@torch.no_grad()
def predict(model: nn.Module, split: Split, normalise: Normalise) -> Tensor:
    """Return the logits of all images of a split, float32 (N, K), in eval mode."""
    training = model.training
    model.eval()
    logits = [model(normalise(images)).float() for images in _batches(split)]
    model.train(training)
    return torch.cat(logits)


def predict_views(model: nn.Module, split: Split, normalise: Normalise, mirror: bool) -> Tensor:
    """Return logits as `predict`, the mean over views of each image (Jordan, 2024).

    The image as it is counts half, shifted by one pixel along both diagonals a quarter each; where
    `mirror` is true each of them is the mean of itself and its mirror image.
    """
    images, padded = split.images, reflected(split.images)
    shifted = padded[..., :-2, :-2], padded[..., 2:, 2:]
    logits: list[Tensor] = []
    for view in (images, images, *shifted):
        both = (view, view.flip(3)) if mirror else (view,)
        logits += [predict(model, Split(each, split.labels), normalise) for each in both]
    return torch.stack(logits).mean(0)


def reflected(images: Tensor) -> Tensor:
    """Return images, uint8 (N, C, H, W), with one more pixel on each side, by reflection."""
    rows = torch.cat([images[..., 1:2, :], images, images[..., -2:-1, :]], 2)
    return torch.cat([rows[..., 1:2], rows, rows[..., -2:-1]], 3)


def measures(logits: Tensor, labels: Tensor) -> dict[str, float]:
    """Return the measures of classification.

    Parameters
    ----------
    logits
        Float tensor (N, K).
    labels
        Classes, int64 (N,).

    Returns
    -------
    dict
        ``accuracy`` in [0, 1]; ``nll``, mean negative log-likelihood in nats; ``brier``, mean
        over examples of the squared distance between probabilities and one-hot label, in [0, 2]
        (Brier, 1950); ``ece``, expected calibration error over 15 equal bins, in [0, 1] (Guo et
        al., 2017, by torchmetrics).
    """
    logits, labels = logits.cpu().double(), labels.cpu()
    probabilities = logits.softmax(1)
    classes = logits.shape[1]
    return {
        "accuracy": float((logits.argmax(1) == labels).double().mean()),
        "nll": float(F.cross_entropy(logits, labels)),
        "brier": float((probabilities - F.one_hot(labels, classes)).square().sum(1).mean()),
        "ece": _calibration_error(probabilities, labels, classes),
    }


def _calibration_error(probabilities: Tensor, labels: Tensor, classes: int) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what torchmetrics imports on its own account
        from torchmetrics.functional.classification import multiclass_calibration_error as error

    return float(error(probabilities, labels, num_classes=classes, n_bins=_BINS, norm="l1"))


def _batches(split: Split) -> Iterator[Tensor]:
    yield from split.images.split(_BATCH)
