"""What does it cost to measure the geometry of every layer while a net trains?

One run of the default digits study is repeated three ways: without geometry beyond the SNNL, as a
study does it (an unmixed run is measured at its start and six times more), and after every epoch.
What every epoch costs is then set against the time of the whole default study.
"""

import math
import statistics
import tempfile
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

from layermix.lab.answer.command import DEFAULT_NET
from layermix.lab.bench.table import Row, Table
from layermix.lab.bench.timing import alternate, ratio
from layermix.lab.compare import compare
from layermix.lab.data import DataConfig
from layermix.lab.run import RunConfig, run
from layermix.lab.study import plan
from layermix.lab.training.recipe import Recipe

_REPEATS = 7
_BASE = "run, SNNL alone"


def geometry() -> Table:
    """Time a run with and without geometry, and the default digits study."""
    usual = Recipe()
    recipes = {
        _BASE: replace(usual, geometry=False),
        "run, as in a study": usual,
        "run, every epoch": replace(usual, watch=usual.epochs),
    }
    with tempfile.TemporaryDirectory(prefix="layermix-") as folder:
        runs = {
            name: partial(_run, recipe, Path(folder) / str(k))
            for k, (name, recipe) in enumerate(recipes.items())
        }
        seconds = alternate(runs, _REPEATS)
        whole = _study(Path(folder) / "study")
    rows = [_row(name, seconds, whole) for name in seconds]
    nothing = dict.fromkeys(rows[0], math.nan)
    rows.append({**nothing, "what": "default digits study", "seconds": whole, "of study": 1.0})
    return Table(
        title="Geometry while training: one unmixed run of the default digits study, one thread",
        rows=rows,
        notes=[
            "ratio: to the run with SNNL alone in the same repetition, median (least to largest).",
            "of study: extra seconds of the run, over the seconds of the whole default study.",
        ],
    )


def _row(name: str, seconds: dict[str, list[float]], whole: float) -> Row:
    middle, least, most = ratio(seconds, name, _BASE)
    extra = [own - base for own, base in zip(seconds[name], seconds[_BASE], strict=True)]
    return {
        "what": name,
        "seconds": statistics.median(seconds[name]),
        "ratio": middle,
        "least": least,
        "largest": most,
        "of study": statistics.median(extra) / whole,
    }


def _run(recipe: Recipe, folder: Path) -> None:
    number = len(list(folder.parent.glob(f"{folder.name}-*")))
    config = RunConfig(DataConfig(), DEFAULT_NET, recipe, "none", 0)
    run(config, folder.with_name(f"{folder.name}-{number}"), threads=1)


def _study(folder: Path) -> float:
    config = plan(DataConfig(), DEFAULT_NET, Recipe())
    started = time.perf_counter()
    compare(config, folder)
    return time.perf_counter() - started
