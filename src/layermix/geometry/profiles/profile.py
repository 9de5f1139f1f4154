"""A profile: every quantity at every layer of a model, as numbers to print, keep and draw."""

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from layermix.errors import InputError
from layermix.geometry.profiles.draw import draw
from layermix.geometry.profiles.export import as_csv, as_frame
from layermix.geometry.profiles.show import as_html, as_text
from layermix.geometry.profiles.values import LayerProfile, ProfileValues

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Profile(ProfileValues):
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

    def __str__(self) -> str:
        return as_text(self)

    def _repr_html_(self) -> str:
        return as_html(self)

    def to_frame(self) -> "pd.DataFrame":
        """Return a DataFrame with a row for each layer (needs pandas)."""
        return as_frame(self)

    def to_csv(self, path: str | Path | None = None) -> str:
        """Return the records as CSV, with a header; also write them to `path`."""
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
        return draw(self, path)


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
