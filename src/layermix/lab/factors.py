"""Factors: a study for each budget of epochs, number of training images or share of wrong labels.

The studies are in subfolders that are named by their levels, such as ``epochs=20``. They have the
same variants and seeds.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, is_dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

from layermix.errors import InputError
from layermix.lab import store
from layermix.lab.data import DataConfig
from layermix.lab.store.files import STAGED
from layermix.lab.study import StudyFolder
from layermix.lab.study_config import flat
from layermix.lab.training import Recipe

Level = dict[str, Any]
"""The values of the factors in one study: ``epochs``, ``train_size``, ``label_noise``."""
_NAMES = {"epochs", "train_size", "label_noise"}

_FILE = "factors.json"


@dataclass(frozen=True)
class _Factors:
    settings: dict[str, Any]
    levels: list[Level]

    def __post_init__(self) -> None:
        numbers = (value for level in self.levels for value in level.values())
        if not all(isinstance(value, int | float) for value in numbers):
            raise ValueError("the values of a level must be numbers")
        if other := {name for level in self.levels for name in level} - _NAMES:
            raise ValueError(f"{sorted(other)} are not names of factors")


def levels(
    epochs: tuple[int, ...] = (),
    train_sizes: tuple[int, ...] = (),
    label_noise: tuple[float, ...] = (),
) -> list[Level]:
    """Return all combinations of the values of the factors that have two values or more.

    It is empty if no factor has several values. Equal values raise an `InputError`.
    """
    given = {"epochs": epochs, "train_size": train_sizes, "label_noise": label_noise}
    for name, values in given.items():
        if len(set(values)) < len(values):
            raise InputError(f"{name} has equal values, {list(values)}: name each once")
    factors = {name: values for name, values in given.items() if len(values) > 1}
    if not factors:
        return []
    return [dict(zip(factors, values, strict=True)) for values in product(*factors.values())]


def level_name(level: Level) -> str:
    """Return the name of a level and of its folder, such as ``epochs=20,label-noise=0.2``."""
    return ",".join(f"{name.replace('_', '-')}={value}" for name, value in level.items())


def at_level(data: DataConfig, recipe: Recipe, level: Level) -> tuple[DataConfig, Recipe]:
    """Return the settings of data and training at a level."""
    of_recipe = {name: value for name, value in level.items() if name == "epochs"}
    of_data = {name: value for name, value in level.items() if name != "epochs"}
    return replace(data, **of_data), replace(recipe, **of_recipe)


def write_factors(folder: Path, found: list[Level], settings: dict[str, Any]) -> None:
    """Write the levels of the studies in a folder; levels can be added later.

    `settings` are the data, model and recipe of the studies. If the folder has something else, or
    studies with other factors or settings, an `InputError` is raised.
    """
    path = folder / _FILE
    others = folder.exists() and [p for p in folder.iterdir() if not p.name.startswith(STAGED)]
    if others and not path.exists():
        raise InputError(
            f"the output folder {folder} is not empty and has no {_FILE}: use another --out"
        )
    fixed = flat({k: asdict(v) if is_dataclass(v) else v for k, v in settings.items()})  # pyright: ignore[reportArgumentType]
    fixed = {name: value for name, value in fixed.items() if name not in found[0]}
    known = store.read_typed(_Factors, path) if path.exists() else _Factors(fixed, [])
    factors = list(next(iter(known.levels), found[0]))
    if json.loads(json.dumps(fixed)) != known.settings or factors != list(found[0]):
        raise InputError(
            f"the output folder {folder} has studies over {' and '.join(factors)} with other "
            "settings: use another --out, or the same settings"
        )
    folder.mkdir(parents=True, exist_ok=True)
    levels = [*known.levels, *(level for level in found if level not in known.levels)]
    store.write_json(path, {"settings": fixed, "levels": levels})


def require_untuned(words: Sequence[str], level: Level) -> None:
    """Raise an `InputError` if a factor is also tuned."""
    for word in words:
        if (name := word.partition("=")[0]).replace("-", "_") in level:
            raise InputError(f"{name} has several values and is tuned too: leave one out")


def studies_in(folder: Path, *, trust: bool = False) -> list[StudyFolder]:
    """Return the studies in a folder: that of the folder, with its tuning, or those of levels."""
    if factors := open_factors(folder, trust=trust):
        return [study for _, study in factors]
    tuning = sorted(path.parent for path in folder.glob("tuning/*/study.json"))
    if tuning and not (folder / "study.json").exists():
        return [StudyFolder.open(path, trust=trust) for path in tuning]
    return [StudyFolder.open(folder, trust=trust)]


def open_factors(folder: Path, *, trust: bool = False) -> list[tuple[Level, StudyFolder]] | None:
    """Return the begun studies of a folder with their levels, sorted; None without factors."""
    if not (folder / _FILE).exists():
        return None
    known = store.read_typed(_Factors, folder / _FILE)
    found = sorted(known.levels, key=lambda level: [*level.values()])
    begun = [level for level in found if (folder / level_name(level) / "study.json").exists()]
    return [(level, StudyFolder.open(folder / level_name(level), trust=trust)) for level in begun]
