"""Train the missing runs of a study in parallel worker processes (joblib's loky).

Each worker trains one run at a time, with its own threads, and loads the data once.
"""

import os
import signal
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import joblib
from joblib.externals.loky.process_executor import TerminatedWorkerError

from layermix.errors import LayermixError, RunError
from layermix.experiments.run import find_points, fresh_model, load_once, run
from layermix.experiments.store import RunConfig, RunResult
from layermix.experiments.study import Study
from layermix.experiments.training.environment import pick_device

Outcome = tuple[RunConfig, RunResult | str]


def default_workers(device: str) -> int:
    """Return the number of parallel runs: one for each core, or one on a GPU."""
    return joblib.cpu_count() if pick_device(device).type == "cpu" else 1


def run_missing(study: Study, workers: int) -> Iterator[Outcome]:
    """Train the missing runs; yield each run with its result or its error message.

    If a worker process is killed, a `RunError` is raised. Finished runs remain on disk.
    """
    missing, config = study.missing(), study.config
    if not missing:
        return
    all_points = config.all_points
    if all_points is None:
        data = load_once(config.data, config.seeds[0])
        all_points = find_points(fresh_model(config.model, data, config.seeds[0]), data)
    jobs = (
        joblib.delayed(_work)(
            os.getpid(),
            cell,
            study.path(cell),
            threads=config.threads,
            keep_features=study.keeps_features(cell),
            all_points=all_points,
        )
        for cell in missing
    )
    # Dispatch one run per worker: loky fails if an interrupt drops runs that are not sent yet.
    count = min(workers, len(missing))
    parallel = joblib.Parallel(count, return_as="generator_unordered", pre_dispatch="n_jobs")
    try:
        with joblib.parallel_config("loky", inner_max_num_threads=config.threads):
            with _ignored_interrupts():
                outcomes = parallel(jobs)
            yield from cast(Iterator[Outcome], outcomes)
    except TerminatedWorkerError as error:
        total = len(config.variants) * len(config.seeds)
        raise RunError(
            f"a worker process was killed, maybe for lack of memory; {len(study.finished())} of "
            f"{total} runs are finished in {study.folder}. Repeat the same command to continue; "
            "--workers 1 needs the least memory"
        ) from error


@contextmanager
def _ignored_interrupts() -> Iterator[None]:
    """Ignore Ctrl-C in workers that are started inside the block; the main process stops them.

    Child processes inherit ignored signals. Only the main thread can ignore a signal.
    """
    is_main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGINT, signal.SIG_IGN) if is_main else None
    try:
        yield
    finally:
        if is_main:
            signal.signal(signal.SIGINT, before)


def _work(leader: int, config: RunConfig, folder: Path, **options: Any) -> Outcome:
    """Train one run in a worker; return its result or its error message."""

    def stop_without_leader(_: object) -> None:
        if os.getpid() != leader and os.getppid() != leader:
            os._exit(1)  # the main process has ended, so the study was stopped

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the main process showed them already
            result = run(config, folder, stop_without_leader, **options)
            return config, replace(result, logits={})  # they are on disk, and need not be sent
    except LayermixError as error:
        return config, str(error)
    except Exception as error:  # any error of the model, device or disk: other runs continue
        return config, f"{type(error).__name__}: {error}"
