"""The time that each engine adds to a run: small runs in this process, in others, and on Ray."""

import itertools
import tempfile
import time
from pathlib import Path

from layermix.lab import DataConfig, Execution, Recipe, StudyFolder, configure, train_study

_RECIPE = Recipe(epochs=1, batch_size=20, monitor=0, geometry=False)


def engines(runs: int = 40, workers: int = 2, ray_address: str | None = None) -> None:
    """python -m benchmarks engines --runs 40

    Train a study of small runs with each engine, and print the seconds of each run. The start of
    an engine is measured by a study of one run for each worker, and subtracted.

    Args:
        runs: Number of runs.
        workers: Number of parallel runs of the local engine and on Ray.
        ray_address: Address of a Ray cluster. Default: a new one on this machine.
    """
    executions = {
        "in this process": Execution(workers=1),
        f"{workers} processes": Execution(workers=workers),
        f"Ray, {workers} tasks": Execution(
            workers=workers, engine="ray", ray_address=ray_address, ray_gpus=0
        ),
    }
    with tempfile.TemporaryDirectory() as folder:
        names = (Path(folder) / str(number) for number in itertools.count())
        for name, execution in executions.items():
            _seconds(next(names), execution, workers)  # files and modules are in the cache
            start = _seconds(next(names), execution, workers)
            whole = _seconds(next(names), execution, workers + runs)
            print(f"{name}: start {start:.1f} s, then {1e3 * (whole - start) / runs:.0f} ms a run")


def _seconds(folder: Path, execution: Execution, runs: int) -> float:
    """Train a study with this number of runs; return the seconds."""
    config = configure(DataConfig(train_size=60), "mlp", _RECIPE, ("none",), seeds=runs)
    started = time.perf_counter()
    study: StudyFolder = train_study(config, folder, execution)
    seconds = time.perf_counter() - started
    assert len(study.finished()) == runs
    return seconds
