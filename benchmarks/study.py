"""Time of a study, relative to the time of its runs as separate commands.

The default digits study with all its workers is compared with `layermix train` commands, one for
each variant. A study runs in parallel, and does not start a process for each run. Only the commands
of one seed are timed; their time is multiplied by the number of seeds.
"""

import subprocess
import sys
import tempfile
from dataclasses import replace
from functools import partial

from benchmarks.setting import Setting
from benchmarks.table import Row, Table
from benchmarks.timing import against, alternate, measured
from layermix.lab import StudyConfig, configure
from layermix.lab.data import DataConfig
from layermix.lab.engines.local import default_workers
from layermix.lab.training.recipe import PLAIN

_SEPARATE = "separate commands"
_ON_A_GPU = (1, 2, 4)  # numbers of parallel runs to test


def bench_study(setting: Setting) -> Table:
    """Time the default digits study as one command, and its runs as separate commands."""
    epochs = 1 if setting.small else PLAIN.recipe.epochs
    recipe = replace(PLAIN.recipe, device=setting.device, epochs=epochs)
    data = DataConfig(data=setting.data)
    study = configure(data, PLAIN.model, recipe, seeds=2 if setting.small else 8)
    usual = default_workers(setting.device) or 1
    many = [usual] if setting.device == "cpu" else [usual, *_ON_A_GPU]
    studies = {
        f"study, {workers} side by side": partial(_study, study, workers)
        for workers in sorted(set(many))
    }
    seconds = alternate({_SEPARATE: partial(_commands, study), **studies}, setting.repeats)
    seeds, variants = len(study.seeds), len(study.variants)
    seconds[_SEPARATE] = [seeds * one for one in seconds[_SEPARATE]]
    return Table(
        title=f"The default study of {setting.data} over its runs as separate commands",
        rows=[_row(name, seconds) for name in seconds],
        notes=[
            f"study: `layermix compare`, {seeds} seeds of {variants} variants, with its report.",
            f"separate commands: {variants} successive `layermix train` commands, one for each "
            f"variant, times {seeds} seeds.",
            "times as fast: speedup over the separate commands in the same repetition; median, "
            "minimum and maximum of n.",
        ],
    )


def _row(name: str, seconds: dict[str, list[float]]) -> Row:
    fast = against(seconds, _SEPARATE, name, "times as fast")
    return {"what": name, **measured(seconds, name), **fast}


def _study(study: StudyConfig, workers: int) -> None:
    """Run the study with one command."""
    seeds = str(len(study.seeds))
    _run(study, "compare", "--seeds", seeds, "--workers", str(workers))


def _commands(study: StudyConfig) -> None:
    """Train the runs of one seed with a separate command for each run."""
    for variant in study.variants:
        _run(study, "train", "--variant", variant, "--threads", "1")


def _run(study: StudyConfig, command: str, *words: str) -> None:
    recipe = ["--epochs", str(study.recipe.epochs), "--device", study.recipe.device]
    with tempfile.TemporaryDirectory(prefix="layermix-") as folder:
        where = ["--data", study.data.data, "--out", f"{folder}/out"]
        call = [sys.executable, "-m", "layermix", command, *where, *recipe, *words]
        subprocess.run(call, check=True, stdout=subprocess.DEVNULL)
