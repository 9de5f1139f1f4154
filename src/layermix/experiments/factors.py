"""Factors: a study for each budget of epochs, number of training images or share of wrong labels.

The studies are in subfolders that are named by their levels, such as ``epochs=20``. They have the
same variants and seeds.
"""

from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

from layermix.errors import InputError
from layermix.experiments import store
from layermix.experiments.data import DataConfig
from layermix.experiments.study import Study
from layermix.experiments.training import Recipe

Level = dict[str, Any]
"""The values of the factors in one study: ``epochs``, ``train_size``, ``label_noise``."""

_FILE = "factors.json"


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


def write_factors(folder: Path, found: list[Level]) -> None:
    """Write the levels of the studies in a folder; the folder must be new or have such studies."""
    path = folder / _FILE
    if folder.exists() and any(folder.iterdir()) and not path.exists():
        raise InputError(
            f"the output folder {folder} is not empty and has no {_FILE}: use another --out"
        )
    known = store.read_json(path) if path.exists() else []
    folder.mkdir(parents=True, exist_ok=True)
    store.write_json(path, [*known, *(level for level in found if level not in known)])


def open_factors(folder: Path) -> list[tuple[Level, Study]] | None:
    """Return the begun studies of a folder with their levels; None if it has no factors."""
    if not (folder / _FILE).exists():
        return None
    found = [(level, folder / level_name(level)) for level in store.read_json(folder / _FILE)]
    return [(level, Study.open(path)) for level, path in found if (path / "study.json").exists()]
