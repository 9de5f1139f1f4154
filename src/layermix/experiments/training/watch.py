"""What is measured while a net trains: the geometry of its layers on a fixed held-out batch.

Shapes: N examples of the watched batch.
"""

import math
import time
from typing import Any

import torch
from torch import Tensor, nn

from layermix.errors import RunError
from layermix.experiments.data import Normalise, Split
from layermix.geometry import LayerFeatures, interpolation_gap, layer_snnl, measure_layer
from layermix.hooks import activations

MIXED = 128  # examples of the batch that are mixed for the interpolation gap
RATIO = 0.5


class Watch:
    """The watched batch, and the mix points of a net where it is measured.

    Parameters
    ----------
    net
        The net, on its device.
    batch
        The same held-out images all along, on that device.
    normalise
        What is done to them.
    points
        Mix points.

    Attributes
    ----------
    seconds
        Time spent on measuring so far.
    """

    def __init__(
        self, net: nn.Module, batch: Split, normalise: Normalise, points: tuple[str, ...]
    ) -> None:
        self.net, self.batch, self.points = net, batch, points
        self._normalise = normalise
        self.seconds = 0.0

    def snnl(self) -> dict[str, Any]:
        """Return a record with the SNNL at every point."""
        return self._timed(whole=False)

    def geometry(self) -> dict[str, Any]:
        """Return a record with the SNNL, and with every quantity, at every point."""
        return self._timed(whole=True)

    def activations(self) -> dict[str, Tensor]:
        """Return the activations at every point, float32 (N, ...)."""
        found = activations(self.net, self._normalise(self.batch.images), self.points)
        return {point: features.float() for point, features in found.items()}

    def _timed(self, whole: bool) -> dict[str, Any]:
        started = time.perf_counter()
        record = self._record(whole)
        self.seconds += time.perf_counter() - started
        return record

    def _record(self, whole: bool) -> dict[str, Any]:
        layers = {point: self._layer(point, x) for point, x in self.activations().items()}
        record: dict[str, Any] = {"snnl": {p: _snnl(layer) for p, layer in layers.items()}}
        if whole:
            every = torch.arange(0, len(self.batch), -(-len(self.batch) // MIXED))
            some = self.batch[every.to(self.batch.labels.device)]
            x = self._normalise(some.images)
            gaps = interpolation_gap(self.net, x, some.labels, self.points, ratios=(RATIO,))
            record["geometry"] = {
                point: _finite(measure_layer(layer, gaps[point])) for point, layer in layers.items()
            }
        return record

    def _layer(self, point: str, features: Tensor) -> LayerFeatures:
        if not features.isfinite().all():
            raise RunError(
                f"the features at {point!r} became NaN or infinite: try a lower --lr or a longer "
                "--warmup"
            )
        return LayerFeatures(features, self.batch.labels)


def _snnl(layer: LayerFeatures) -> dict[str, float]:
    found = layer_snnl(layer)
    return {
        "value": found.value,
        "temperature": found.temperature,
        "chance": found.chance,
        "n": found.n,
    }


def _finite(values: dict[str, float]) -> dict[str, float | None]:
    """Return values as JSON has them: null where they are not finite."""
    return {name: value if math.isfinite(value) else None for name, value in values.items()}
