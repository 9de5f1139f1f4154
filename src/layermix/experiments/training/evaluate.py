"""Evaluate a model during and after training: its predictions, and the geometry of its layers.

`Monitor` measures geometry on a fixed batch. `FeatureLoss` adds the soft nearest neighbor loss
(SNNL) of a layer to the training loss (Frosst, Papernot, Hinton, 2019).

Shapes: N images, B batch, C channels, H height, W width, K classes.
"""

import math
import time
import warnings
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from layermix import geometry as geo
from layermix.errors import InputError, RunError
from layermix.experiments.data import Split
from layermix.experiments.training.batches import Normalize
from layermix.experiments.training.recipe import Recipe
from layermix.hooks import FeatureCapture, activations
from layermix.hooks.isolation import observe
from layermix.hooks.sites import find, unwrap
from layermix.mixing import MixedTarget, Target

_BATCH = 512
_BINS = 15
MIXED = 128  # maximum number of examples to mix for the interpolation gap
RATIO = 0.5


@torch.no_grad()
def predict_logits(
    model: nn.Module, split: Split, normalize: Normalize, *, views: bool = False, flip: bool = False
) -> Tensor:
    """Return the logits of a split in eval mode, float32 (N, K).

    If `views` is True, logits are weighted means over views of each image (Jordan, 2024): 1/2 for
    the image, and 1/4 for each of two diagonal shifts by one pixel. If `flip` is also True, the
    logits of each view are averaged with those of its mirror image.
    """
    training = model.training
    model.eval()
    logits = []
    for images in split.images.split(_BATCH):
        x = normalize(images)
        inputs = _views(x, flip) if views else [x]
        logits.append(torch.stack([model(each).float() for each in inputs]).mean(0))
    model.train(training)
    return torch.cat(logits)


def _views(x: Tensor, flip: bool) -> list[Tensor]:
    padded = F.pad(x, (1, 1, 1, 1), mode="reflect")
    views = [x, x, padded[..., :-2, :-2], padded[..., 2:, 2:]]
    return [each for view in views for each in ((view, view.flip(3)) if flip else (view,))]


def metrics(logits: Tensor, labels: Tensor) -> dict[str, float]:
    """Return the classification metrics of logits, (N, K), and labels, int64 (N,).

    They are ``accuracy`` in [0, 1]; ``nll``, the mean negative log-likelihood in nats; ``brier``,
    the mean squared distance between probabilities and one-hot labels, in [0, 2] (Brier, 1950);
    and ``ece``, the expected calibration error of torchmetrics with 15 bins of equal width, in
    [0, 1] (Guo et al., 2017).
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # from imports of torchmetrics
        from torchmetrics.functional.classification import multiclass_calibration_error

    logits, labels = logits.cpu().double(), labels.cpu()
    probabilities, classes = logits.softmax(1), logits.shape[1]
    ece = multiclass_calibration_error(probabilities, labels, classes, n_bins=_BINS, norm="l1")
    return {
        "accuracy": float((logits.argmax(1) == labels).double().mean()),
        "nll": float(F.cross_entropy(logits, labels)),
        "brier": float((probabilities - F.one_hot(labels, classes)).square().sum(1).mean()),
        "ece": float(ece),
    }


class Monitor:
    """Measure the geometry of layers at mix points during training, always on the same batch.

    Model and batch must be on the same device. `seconds` is the total time of all measurements.
    """

    def __init__(
        self, model: nn.Module, batch: Split, normalize: Normalize, points: tuple[str, ...]
    ) -> None:
        self.model, self.batch, self.points = model, batch, points
        self._normalize = normalize
        self.seconds = 0.0

    def activations(self) -> dict[str, Tensor]:
        """Return the activations at each point, float32 (N, ...)."""
        found = activations(self.model, self._normalize(self.batch.images), self.points)
        return {point: features.float() for point, features in found.items()}

    def features(self, prefix: str) -> dict[str, Tensor]:
        """Return the activations at each point by ``prefix.point``, and the labels of the batch."""
        found = {f"{prefix}.{point}": x.flatten(1) for point, x in self.activations().items()}
        return {"labels": self.batch.labels, **found}

    def measure(self, *, geometry: bool = False) -> dict[str, Any]:
        """Return a record with the SNNL at each point and, if `geometry`, all quantities."""
        started = time.perf_counter()
        layers = {point: self._layer(point, x) for point, x in self.activations().items()}
        record: dict[str, Any] = {"snnl": {}}
        for point, layer in layers.items():
            snnl, names = geo.layer_snnl(layer), ("value", "temperature", "chance", "n")
            record["snnl"][point] = {name: getattr(snnl, name) for name in names}
        if geometry:
            step = -(-len(self.batch) // MIXED)
            index = torch.arange(0, len(self.batch), step, device=self.batch.labels.device)
            some = self.batch[index]
            x = self._normalize(some.images)
            gaps = geo.interpolation_gap(self.model, x, some.labels, self.points, ratios=(RATIO,))
            found = {
                point: geo.measure_layer(layer, gaps[point]) for point, layer in layers.items()
            }
            record["geometry"] = {point: _finite(values) for point, values in found.items()}
        self.seconds += time.perf_counter() - started
        return record

    def _layer(self, point: str, features: Tensor) -> geo.LayerFeatures:
        if not features.isfinite().all():
            problem = f"the features at {point!r} became NaN or infinite"
            raise RunError(f"{problem}: try a lower --lr or a longer --warmup")
        return geo.LayerFeatures(features, self.batch.labels)


def _finite(values: dict[str, float]) -> dict[str, float | None]:
    """Return values for JSON; values that are not finite become None."""
    return {name: value if math.isfinite(value) else None for name, value in values.items()}


class FeatureLoss:
    """Additional loss: the SNNL of the features at `recipe.snnl_at` times `recipe.snnl_weight`.

    A positive weight separates the classes at this mix point; a negative one entangles them. Mixed
    features have the class of the parent with the larger ratio.

    Create it before a `Mixer` is attached to the model. The model may be compiled. `x` are a few
    examples, used to find which of the mix points `mix_at` come before the features.
    """

    def __init__(
        self, model: nn.Module, recipe: Recipe, x: Tensor, mix_at: tuple[str, ...]
    ) -> None:
        self.point = point = recipe.snnl_at
        self.weight = recipe.snnl_weight
        self._capture = FeatureCapture(model, point)
        self._capture.check(x)
        self._criterion = geo.SoftNearestNeighborLoss()
        inner, passed = unwrap(model), []
        sites = [find(inner, name) for name in dict.fromkeys((point, *mix_at))]
        observe(inner, sites, x, lambda name, _: passed.append(name))
        self._before = set(passed[: passed.index(point)])

    def __call__(self, labels: Tensor, target: Target, mixed_at: str | None) -> Tensor:
        """Return the loss, shape (), of the last forward pass, given its labels and mixed target.

        Mixes of more than two examples have no class. They raise an `InputError`.
        """
        if mixed_at in self._before:
            if not isinstance(target, MixedTarget):
                raise InputError(
                    f"the features at {self.point!r} come after {mixed_at!r}, where whole batches "
                    "are mixed, so they have no class: set --snnl-at to an earlier mix point"
                )
            labels = torch.where(target.ratio >= 0.5, labels, target.partner_labels)
        return self.weight * self._criterion(self._capture[self.point], labels)
