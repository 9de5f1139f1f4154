"""The result of a profile: quantities of each layer, with export and weights for mix points."""

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from layermix.errors import InputError, unknown
from layermix.geometry.profile_rendering import as_html, as_text, draw_profile
from layermix.geometry.quantities import QUANTITIES

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class LayerProfile:
    """The quantities of one layer.

    Attributes
    ----------
    point, kind, module
        Name and kind of the mix point, and class name of its module.
    shape, pooled, features
        Shape of one example's activation, its pooling as text, and the number of features.
    values, snnl, temperature, standard_error
        Quantities by name, and the attributes of the `SNNL`; NaN if not measured.
    """

    point: str
    kind: str
    module: str
    shape: tuple[int, ...]
    pooled: str
    features: int
    values: dict[str, float]
    snnl: float = math.nan
    temperature: float = math.nan
    standard_error: float = math.nan


@dataclass(frozen=True)
class Profile:
    """Result of `layermix.profile`. It prints as a table, also in a notebook.

    Attributes
    ----------
    layers
        One `LayerProfile` for each mix point, in the order of the model.
    model, n, classes
        Class name of the model, number of examples, and number of classes.
    mixed, ratios
        Number of examples mixed for the interpolation gap, and the mixing ratios.
    chance
        SNNL in nats if the classes overlap completely.
    notices
        Notes on ignored data, and on missing or unreliable values.

    Examples
    --------
    >>> layer = LayerProfile("final", "final", "Linear", (8,), "as it is", 8, {"knn": 0.9})
    >>> found = Profile((layer,), "Net", n=100, mixed=0, classes=3, chance=1.1)
    >>> found["final"].features, found.quantity("knn"), Profile.from_json(found.to_json()).n
    (8, {'final': 0.9}, 100)
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

    def __str__(self) -> str:
        return as_text(self)

    def _repr_html_(self) -> str:
        return as_html(self)

    @property
    def points(self) -> list[str]:
        """The mix points, in the order of the model."""
        return [layer.point for layer in self.layers]

    @property
    def quantities(self) -> list[str]:
        """The measured quantities, in the order of `QUANTITIES`."""
        return [name for name in QUANTITIES if name in self.layers[0].values]

    def quantity(self, name: str) -> dict[str, float]:
        """Return the values of a quantity, by mix point."""
        if name not in self.quantities:
            raise unknown("quantity of this profile", name, self.quantities)
        return {layer.point: layer.values[name] for layer in self.layers}

    def auto_weights(self) -> dict[str, float]:
        """Return the probability of each mix point except the logits, for ``at="auto"``."""
        if "snnl" not in self.quantities:
            raise InputError("the profile has no SNNL: include 'snnl' in quantities")
        return auto_weights({e.point: e.values["snnl"] for e in self if e.kind != "logits"})

    def records(self) -> list[dict[str, Any]]:
        """Return a flat dict for each layer: attributes, number of examples, and quantities."""
        found = []
        for layer in self.layers:
            about = asdict(layer) | {"shape": "x".join(map(str, layer.shape)), "n": self.n}
            snnl = {"snnl_nats": about.pop("snnl"), "snnl_chance": self.chance}
            snnl |= {f"snnl_{name}": about.pop(name) for name in ("temperature", "standard_error")}
            values = about.pop("values")
            found.append(about | values | (snnl if "snnl" in values else {}))
        return found

    def to_frame(self) -> "pd.DataFrame":
        """Return a DataFrame with one row for each layer (needs pandas)."""
        try:
            import pandas as pd
        except ImportError as error:
            raise InputError("to_frame needs pandas: pip install pandas") from error
        return pd.DataFrame.from_records(self.records(), index="point")

    def to_csv(self, path: str | Path | None = None) -> str:
        """Return the records as CSV with a header; also write them to `path` if given."""
        text, records = io.StringIO(), self.records()
        writer = csv.DictWriter(text, list(records[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(records)
        return _written(text.getvalue(), path)

    def to_json(self, path: str | Path | None = None) -> str:
        """Return the profile as JSON (NaN and inf are null); also write it to `path` if given."""
        return _written(json.dumps(_without_nan(asdict(self)), indent=2) + "\n", path)

    @classmethod
    def from_json(cls, text: str) -> "Profile":
        """Create a profile from the text of `to_json`; null becomes NaN."""
        try:
            found = json.loads(text)
            rows = [{**_with_nan(row), "shape": tuple(row["shape"])} for row in found["layers"]]
            rest = {name: tuple(found[name]) for name in ("ratios", "notices")}
            return cls(**{**found, **rest, "layers": tuple(LayerProfile(**row) for row in rows)})
        except (ValueError, TypeError, KeyError) as error:
            raise InputError(f"the text is not the JSON of a profile: {error}") from error

    def plot(self, path: str | Path | None = None) -> "Figure":
        """Draw a plot for each quantity (needs matplotlib); also save it to `path` if given."""
        return draw_profile(self, path)


def auto_weights(measured: Profile | Mapping[str, float]) -> dict[str, float]:
    """Return the probability of each mix point for ``at="auto"``.

    It is proportional to max(0, 1 - SNNL / chance): the better a point separates the classes, the
    more often it is mixed. If no point separates them, as before training, all are equal.

    Parameters
    ----------
    measured
        A profile, or SNNL / chance for each mix point; NaN gives probability 0. If there is no mix
        point, or the profile has no SNNL, an `InputError` is raised.

    Examples
    --------
    >>> auto_weights({"input": 0.9, "block": 0.7, "final": 0.4})
    {'input': 0.1, 'block': 0.3, 'final': 0.6}
    """
    if isinstance(measured, Profile):
        return measured.auto_weights()
    if not measured:
        raise InputError("there is no mix point to choose from")
    apart = {name: 0.0 if math.isnan(v) else max(0.0, 1.0 - v) for name, v in measured.items()}
    total = sum(apart.values())
    if not total:
        return dict.fromkeys(apart, 1 / len(apart))
    return {name: round(value / total, 12) for name, value in apart.items()}


def _written(text: str, path: str | Path | None) -> str:
    if path is not None:
        Path(path).write_text(text, encoding="utf-8")
    return text


def _without_nan(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    return [_without_nan(item) for item in value] if isinstance(value, list | tuple) else value


def _with_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _with_nan(item) for key, item in value.items()}
    return math.nan if value is None else value
