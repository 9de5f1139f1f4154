"""Time of measuring the geometry of every layer during training.

A run of the default digits study is timed in three ways: with the SNNL only; as in a study, where
all quantities of an unmixed run are measured at the start and six more times; and with a
measurement after every epoch. The additional time is reported relative to the time of the whole
default study: for one run, and for all unmixed runs, which share the workers of the study.
"""

import math
import statistics
import tempfile
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

from benchmarks.setting import Setting
from benchmarks.table import Row, Table
from benchmarks.timing import alternate, ratio
from layermix.lab import Execution, configure, run, train_study
from layermix.lab.data import DataConfig
from layermix.lab.engines.local import default_workers
from layermix.lab.store import RunConfig
from layermix.lab.training.recipe import PLAIN, Recipe

_BASE = "run, SNNL alone"
_OF_ONE, _OF_ALL = "one run's extra / study", "all unmixed runs' extra / study"


def bench_geometry(setting: Setting) -> Table:
    """Time a run with and without measurement of geometry, and the default digits study."""
    usual = Recipe(device=setting.device)
    usual = replace(usual, epochs=1 if setting.small else usual.epochs)
    recipes = {
        _BASE: replace(usual, geometry=False),
        "run, as in a study": usual,
        "run, every epoch": replace(usual, monitor=usual.epochs),
    }
    with tempfile.TemporaryDirectory(prefix="layermix-") as folder:
        runs = {
            name: partial(_run, recipe, Path(folder) / str(k))
            for k, (name, recipe) in enumerate(recipes.items())
        }
        seconds = alternate(runs, setting.repeats)
        whole, seeds, workers = _study(usual, Path(folder) / "study")
    rows = [_row(name, seconds, whole, seeds / workers) for name in seconds]
    nothing = dict.fromkeys(rows[0], math.nan)
    rows.append({**nothing, "what": "default digits study", "seconds": whole})
    return Table(
        title="Geometry while training: one unmixed run of the default digits study, one thread",
        rows=rows,
        notes=[
            "ratio: to the run with only the SNNL in the same repetition; median, minimum and "
            "maximum.",
            f"{_OF_ONE}: additional seconds of this run over the run with only the SNNL, median of "
            "the repetitions, divided by the seconds of the whole default study.",
            f"{_OF_ALL}: the same for all unmixed runs of the study: times {seeds} "
            f"{'seed' if seeds == 1 else 'seeds'}, divided by {workers} parallel "
            f"{'worker' if workers == 1 else 'workers'}.",
        ],
    )


def _row(name: str, seconds: dict[str, list[float]], whole: float, runs: float) -> Row:
    """Return the table row of one kind of run; each worker of a study trains `runs` such runs."""
    middle, least, most = ratio(seconds, name, _BASE)
    extra = [own - base for own, base in zip(seconds[name], seconds[_BASE], strict=True)]
    of_one = statistics.median(extra) / whole
    return {
        "what": name,
        "seconds": statistics.median(seconds[name]),
        "ratio": middle,
        "least": least,
        "most": most,
        _OF_ONE: of_one,
        _OF_ALL: of_one * runs,
    }


def _run(recipe: Recipe, folder: Path) -> None:
    number = len(list(folder.parent.glob(f"{folder.name}-*")))
    config = RunConfig(DataConfig(), PLAIN.model, recipe, "none", 0)
    run(config, folder.with_name(f"{folder.name}-{number}"), threads=1)


def _study(recipe: Recipe, folder: Path) -> tuple[float, int, int]:
    """Run the default study; return its seconds, number of seeds, and number of workers."""
    config = configure(DataConfig(), PLAIN.model, recipe)
    runs = len(config.seeds) * len(config.variants)
    workers = min(default_workers(config.recipe.device) or 1, runs)
    started = time.perf_counter()
    train_study(config, folder, Execution(workers=workers))
    return time.perf_counter() - started, len(config.seeds), workers
