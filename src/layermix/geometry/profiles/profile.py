"""A profile: every quantity at every layer of a model, as numbers to print, keep and draw."""

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from layermix.errors import InputError, unknown
from layermix.geometry.quantities import QUANTITIES

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


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
class Profile:
    """What `layermix.profile` measured; prints as a table.

    Attributes
    ----------
    layers
        One `LayerProfile` for each mix point, in the order of the model.
    model
        Class of the model.
    n
        Examples that every layer was measured on.
    mixed
        Examples that were mixed for the interpolation gap.
    ratios
        Ratios at which they were mixed.
    classes
        Number of classes.
    chance
        The soft nearest neighbor loss in nats that classes lying over one another have.
    notices
        What one must know to read the values: what was left out, or could not be measured.
    """

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

    def __str__(self) -> str:
        from layermix.geometry.profiles.show import as_text

        return as_text(self)

    def _repr_html_(self) -> str:
        from layermix.geometry.profiles.show import as_html

        return as_html(self)

    def records(self) -> list[dict[str, Any]]:
        """Return one flat dict for each layer: what it is, n, and every quantity by its name."""
        return [_record(self, layer) for layer in self.layers]

    def to_frame(self) -> "pd.DataFrame":
        """Return a DataFrame with a row for each layer (needs pandas)."""
        from layermix.geometry.profiles.export import as_frame

        return as_frame(self)

    def to_csv(self, path: str | Path | None = None) -> str:
        """Return the records as CSV, with a header; also write them to `path`."""
        from layermix.geometry.profiles.export import as_csv

        return _written(as_csv(self.records()), path)

    def to_json(self, path: str | Path | None = None) -> str:
        """Return everything as JSON, NaN and infinity as null; also write it to `path`."""
        return _written(json.dumps(_plain(asdict(self)), indent=2) + "\n", path)

    @classmethod
    def from_json(cls, text: str) -> "Profile":
        """Return the profile that `to_json` wrote; null becomes NaN."""
        try:
            found = _restored(json.loads(text))
            layers = [
                LayerProfile(**{**row, "shape": tuple(row["shape"])}) for row in found["layers"]
            ]
            several = {"layers": layers, "ratios": found["ratios"], "notices": found["notices"]}
            return cls(**{**found, **{name: tuple(value) for name, value in several.items()}})
        except (ValueError, TypeError, KeyError) as error:
            raise InputError(f"this is not the JSON of a profile: {error}") from error

    def plot(self, path: str | Path | None = None) -> "Figure":
        """Draw one panel for each quantity over depth (needs matplotlib); also save it."""
        from layermix.geometry.profiles.draw import draw

        return draw(self, path)


def _record(profile: Profile, layer: LayerProfile) -> dict[str, Any]:
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


def _written(text: str, path: str | Path | None) -> str:
    if path is not None:
        Path(path).write_text(text, encoding="utf-8")
    return text


def _plain(value: Any) -> Any:
    """Return a value as JSON has it: no NaN, no infinity."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _restored(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _restored(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_restored(item) for item in value]
    return math.nan if value is None else value
