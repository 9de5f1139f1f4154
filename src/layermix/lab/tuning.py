"""Tuning: choose settings of the recipe for each variant, with the same number of tries.

Each try trains a variant with some settings at three tuning seeds, which the study itself does not
use. The try with the highest mean validation accuracy is chosen, then that with the lowest NLL.
Tries are studies of their own in the folder ``tuning``.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from itertools import product
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from rich.console import Console

from layermix.errors import InputError, unknown
from layermix.lab import store
from layermix.lab.study import StudyFolder
from layermix.lab.study_config import StudyConfig
from layermix.lab.study_training import Execution, train_study
from layermix.lab.training import Recipe
from layermix.lab.variants import depends_on, require_distinct

SEEDS = (1000, 1001, 1002)
Settings = dict[str, Any]
_FLOATS = ("alpha", "lr", "weight_decay")  # settings whose default is not a number
_MIXING = ("alpha", "per", "norm_stats")  # settings without an effect on a variant without mixing


@dataclass(frozen=True)
class Try:
    """Settings of a variant, and its results on validation data: means over the tuning seeds."""

    variant: str
    settings: Settings
    accuracy: float
    nll: float
    chosen: bool = False
    possible: int = 0  # number of combinations of the grid, of which the tries were drawn


def parse_grid(words: Sequence[str]) -> dict[str, list[Any]]:
    """Parse words such as ``alpha=0.2,1,2`` or ``weight-decay=1e-3,2e-3``.

    A name that is no number setting of the recipe, or a value that is no number, raises an
    `InputError`.
    """
    kinds = {f.name: type(f.default) for f in fields(Recipe)} | dict.fromkeys(_FLOATS, float)
    known = [name for name, kind in kinds.items() if kind in (int, float)]
    grid: dict[str, list[Any]] = {}
    for word in words:
        key, _, values = word.partition("=")
        name = key.replace("-", "_")
        if name not in known:
            raise unknown("setting to tune", key, [each.replace("_", "-") for each in known])
        try:
            grid[name] = [kinds[name](value) for value in values.split(",")]
        except ValueError:
            raise InputError(
                f"cannot tune {word!r}: its values must be numbers, such as {key}=0.2,1,2"
            ) from None
        require_distinct(f"value of {key}", grid[name])
    return grid


def combinations(config: StudyConfig, grid: dict[str, list[Any]]) -> dict[str, list[Settings]]:
    """Return all combinations of the settings of a grid, for each variant.

    A setting without an effect on a variant, such as alpha without mixing, is not varied for it.
    """
    found: dict[str, list[Settings]] = {}
    for variant in config.variants:
        names = [name for name in grid if _applies(name, variant, config)]
        values = product(*(grid[name] for name in names))
        found[variant] = [dict(zip(names, each, strict=True)) for each in values]
    return found


def tries(config: StudyConfig, grid: dict[str, list[Any]]) -> dict[str, list[Settings]]:
    """Return the settings to try for each variant: the same number for all variants.

    The number is that of the variant with the fewest combinations; of the others, as many are
    drawn at random.
    """
    found = combinations(config, grid)
    fewest = min(found, key=lambda variant: len(found[variant]))
    if len(found[fewest]) < 2:
        raise InputError(
            f"the variant {fewest!r} has nothing to tune in {list(grid)}, but each variant must "
            "have the same number of tries: add a setting that it has, such as weight-decay=1e-3,"
            "2e-3,4e-3"
        )
    rng, count = np.random.default_rng(0), len(found[fewest])
    return {
        variant: [each[k] for k in sorted(rng.permutation(len(each))[:count].tolist())]
        for variant, each in found.items()
    }


def tune(
    config: StudyConfig,
    words: Sequence[str],
    folder: Path,
    execution: Execution = Execution(),
    *,
    console: Console | None = None,
) -> StudyConfig:
    """Train all tries, write them to ``tuning.json``, and return the study with those chosen.

    `words` are the settings to tune, as for `parse_grid`.
    """
    grid = parse_grid(words)
    planned, possible = tries(config, grid), combinations(config, grid)
    _show_plan(planned, possible, console)
    by_settings: dict[str, tuple[Settings, list[str]]] = {}
    for variant, each in planned.items():
        for settings in each:
            by_settings.setdefault(repr(settings), (settings, []))[1].append(variant)
    found: list[Try] = []
    for settings, variants in by_settings.values():
        recipe = replace(config.recipe, **settings)
        recipe.check()
        pilot = replace(
            config, recipe=recipe, variants=tuple(variants), seeds=SEEDS, looks=(), tuned={}
        )
        study = train_study(pilot, folder / "tuning" / _name(settings), execution, console=console)
        results = [(cell.variant, result.val) for cell, result in study.run_results().items()]
        for variant in variants:
            own = [val for name, val in results if name == variant]
            accuracy, nll = (fmean(val[metric] for val in own) for metric in ("accuracy", "nll"))
            count = len(possible[variant])
            found.append(Try(variant, settings, accuracy, nll, possible=count))
    best = {
        variant: max(
            (each for each in found if each.variant == variant),
            key=lambda each: (each.accuracy, -each.nll),
        )
        for variant in config.variants
    }
    tuned = {variant: each.settings for variant, each in best.items()}
    found_config = replace(config, tune=tuple(words), tuned=tuned)
    StudyFolder(found_config, folder)  # an error if the folder has another study
    if console:
        texts = [f"{name} {settings_text(each.settings)}" for name, each in best.items()]
        console.print(f"Chosen by validation: {'; '.join(texts)}.")
    chosen = [replace(each, chosen=each is best[each.variant]) for each in found]
    store.write_json(folder / "tuning.json", [vars(each) for each in chosen])
    return found_config


def settings_text(settings: Settings) -> str:
    """Return settings as text, such as ``alpha 2, weight decay 0.001``."""
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in settings.items())


def random_tries(found: Sequence[Try]) -> list[str]:
    """Return the variants whose tries were drawn from a larger number of combinations."""
    names = [each.variant for each in found]
    drawn = (each.variant for each in found if each.possible > names.count(each.variant))
    return list(dict.fromkeys(drawn))


def _show_plan(
    planned: dict[str, list[Settings]],
    possible: dict[str, list[Settings]],
    console: Console | None,
) -> None:
    if console is None:
        return
    count = len(next(iter(planned.values())))
    text = f"Tuning: {count} tries for each variant, at {len(SEEDS)} seeds."
    for name, each in possible.items():
        if len(each) > count:
            text += f" Those of {name} are drawn at random from {len(each)} combinations."
    console.print(text)


def read_tries(folder: Path) -> list[Try]:
    """Return the tries of a study; empty if it was not tuned."""
    path = folder / "tuning.json"
    return store.read_typed(list[Try], path) if path.exists() else []


def _applies(name: str, variant: str, config: StudyConfig) -> bool:
    assert config.all_points is not None
    return name not in _MIXING or depends_on(variant, name, config.all_points, config.recipe)


def _name(settings: Settings) -> str:
    return ",".join(f"{key.replace('_', '-')}={value}" for key, value in settings.items())
