"""The geometry of the layers of a model during training.

`Monitor` measures it on a fixed batch, or on other batches. `FeatureLoss` adds the soft nearest
neighbor loss (SNNL) of a layer to the training loss (Frosst, Papernot, Hinton, 2019).

Shapes: N examples, B batch, L tokens.
"""

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from layermix import geometry as geo
from layermix.errors import InputError, RunError
from layermix.geometry.features import Pooling
from layermix.geometry.layer import on_cpu
from layermix.hooks import FeatureCapture, activations
from layermix.hooks.isolation import observe
from layermix.hooks.sites import find, unwrap
from layermix.lab.data import Split
from layermix.lab.data.modality import Preprocess
from layermix.lab.training.recipe import Recipe
from layermix.mixing import MixedTarget, Target

MIXED = 128  # maximum number of examples to mix for the interpolation gap
RATIO = 0.5


class Monitor:
    """Measure the geometry of layers at mix points during training, always on the same batch.

    Model and batch must be on the same device. `seconds` is the total time of all measurements.
    """

    def __init__(
        self, model: nn.Module, batch: Split, preprocess: Preprocess, points: tuple[str, ...]
    ) -> None:
        self.model, self.batch, self.points = model, batch, points
        self._preprocess = preprocess
        self.seconds = 0.0

    def features(self, prefix: str) -> dict[str, Tensor]:
        """Return the activations at each point by ``prefix.point``, and the labels of the batch."""
        found = self._activations(self.batch).items()
        return {
            "labels": self.batch.labels,
            **{f"{prefix}.{point}": x.flatten(1) for point, x in found},
        }

    def measure(self, *, geometry: bool = False) -> dict[str, Any]:
        """Return a record with the SNNL at each point and, if `geometry`, all quantities."""
        started = time.perf_counter()
        layers = self._layers(self.batch)
        record: dict[str, Any] = {"snnl": {}}
        for point, layer in layers.items():
            snnl, names = geo.layer_snnl(layer), ("value", "temperature", "chance", "n")
            record["snnl"][point] = {name: getattr(snnl, name) for name in names}
        if geometry:
            record["geometry"] = self._quantities(self.batch, layers)
        self.seconds += time.perf_counter() - started
        return record

    def measure_batches(self, batches: Sequence[Split]) -> dict[str, list[dict[str, Any]]]:
        """Return all quantities at each point, for each batch, by the size of the batch."""
        started = time.perf_counter()
        found: dict[str, list[dict[str, Any]]] = {}
        for batch in batches:
            quantities = self._quantities(batch, self._layers(batch))
            found.setdefault(str(len(batch)), []).append(quantities)
        self.seconds += time.perf_counter() - started
        return found

    def _activations(self, batch: Split) -> dict[str, Tensor]:
        """Return the activations at each point, float32 (N, ...); those of tokens are averaged."""
        x = self._preprocess(batch.inputs)
        found = activations(self.model, x, self.points)
        mask = x.get("attention_mask") if isinstance(x, Mapping) else None
        return {point: _pooled(features.float(), mask) for point, features in found.items()}

    def _layers(self, batch: Split) -> dict[str, geo.LayerFeatures]:
        labels = batch.labels.cpu()
        found = self._activations(batch).items()
        layers = {point: geo.LayerFeatures(x, labels) for point, x in found}
        if batch.inputs.is_cuda:
            layers = on_cpu(layers)
        for point, layer in layers.items():
            if not layer.gram.isfinite().all():
                problem = f"the features at {point!r} became NaN or infinite"
                raise RunError(f"{problem}: try a lower --lr or a longer --warmup")
        return layers

    def _quantities(self, batch: Split, layers: dict[str, geo.LayerFeatures]) -> dict[str, Any]:
        step = -(-len(batch) // MIXED)
        some = batch[torch.arange(0, len(batch), step, device=batch.labels.device)]
        x = self._preprocess(some.inputs)
        gaps = geo.interpolation_gap(self.model, x, some.labels, self.points, ratios=(RATIO,))
        return {
            point: _finite(geo.measure_layer(layer, gaps[point])) for point, layer in layers.items()
        }


def _pooled(features: Tensor, mask: Tensor | None) -> Tensor:
    """Return the mean of tokens, (N, L, ...), over those that the mask (N, L) selects."""
    if mask is None or features.shape[:2] != mask.shape:
        return features
    return Pooling("mean", (1,), mask.shape[1], features[0, 0].numel())(features, mask)


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
