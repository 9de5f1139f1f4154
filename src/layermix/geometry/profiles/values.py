"""The numbers of a profile: every quantity at every layer, to look up by name."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from layermix.errors import unknown
from layermix.geometry.quantities import QUANTITIES


@dataclass(frozen=True)
class LayerProfile:
    """The quantities of one layer.

    Attributes
    ----------
    point
        Its mix point.
    kind, module
        Those of the `MixPoint`.
    shape
        Of one example's activation.
    pooled
        Which positions became features, and how.
    features
        Number of features of an example.
    values
        Each quantity that was asked for, of `QUANTITIES`; NaN where it could not be measured.
    snnl, temperature, standard_error
        The soft nearest neighbor loss in nats, the temperature at which it is least, and the
        standard error of the loss over the examples; NaN where it was not asked for.
    """

    point: str
    kind: str
    module: str
    shape: tuple[int, ...]
    pooled: str
    features: int
    values: dict[str, float]
    snnl: float
    temperature: float
    standard_error: float


@dataclass(frozen=True)
class ProfileValues:
    """What was measured, on what: the attributes of `Profile`, which gives them their forms."""

    layers: tuple[LayerProfile, ...]
    model: str
    n: int
    mixed: int
    classes: int
    chance: float
    ratios: tuple[float, ...] = ()
    notices: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[LayerProfile]:
        return iter(self.layers)

    def __len__(self) -> int:
        return len(self.layers)

    def __getitem__(self, point: str) -> LayerProfile:
        for layer in self.layers:
            if layer.point == point:
                return layer
        raise unknown("mix point of this profile", point, self.points)

    @property
    def points(self) -> list[str]:
        """The mix points, in the order of the model."""
        return [layer.point for layer in self.layers]

    @property
    def quantities(self) -> list[str]:
        """What was measured, in the order of `QUANTITIES`."""
        return [name for name in QUANTITIES if name in self.layers[0].values]

    def quantity(self, name: str) -> dict[str, float]:
        """Return one of `quantities` for every mix point."""
        if name not in self.quantities:
            raise unknown("quantity of this profile", name, self.quantities)
        return {layer.point: layer.values[name] for layer in self.layers}

    def records(self) -> list[dict[str, Any]]:
        """Return one flat dict for each layer: what it is, n, and every quantity by its name."""
        return [_record(self, layer) for layer in self.layers]


def _record(profile: ProfileValues, layer: LayerProfile) -> dict[str, Any]:
    snnl = {
        "snnl_nats": layer.snnl,
        "snnl_chance": profile.chance,
        "snnl_temperature": layer.temperature,
        "snnl_standard_error": layer.standard_error,
    }
    return {
        "point": layer.point,
        "kind": layer.kind,
        "module": layer.module,
        "shape": "x".join(map(str, layer.shape)),
        "pooled": layer.pooled,
        "features": layer.features,
        "n": profile.n,
        **layer.values,
        **(snnl if "snnl" in layer.values else {}),
    }
