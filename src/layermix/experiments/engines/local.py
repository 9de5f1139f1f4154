"""Run the missing cells of a study in parallel worker processes (joblib's loky).

Each worker trains with its own few threads, one run after another, and loads the data once.
"""

import os
import signal
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import joblib
from joblib.externals.loky.process_executor import TerminatedWorkerError

from layermix.errors import LayermixError, RunError
from layermix.experiments.run import RunConfig, run
from layermix.experiments.study import Study
from layermix.experiments.training.recipe import pick_device


def default_workers(device: str) -> int:
    """Return how many runs go side by side: one for each core, one on a GPU."""
    if pick_device(device).type != "cpu":
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_missing(study: Study, workers: int) -> Iterator[tuple[RunConfig, str | None]]:
    """Run what is missing; yield each finished run, with the message of its error or None.

    Raises
    ------
    RunError
        When a worker process was killed; finished runs stay on disk.
    """
    missing = study.missing()
    if not missing:
        return
    jobs = (
        joblib.delayed(_work)(
            cell, study.path(cell), study.config.threads, study.keeps_features(cell), os.getpid()
        )
        for cell in missing
    )
    # One run for each worker: loky's thread fails when a stop drops runs that it has yet to send.
    count = min(workers, len(missing))
    parallel = joblib.Parallel(count, return_as="generator_unordered", pre_dispatch="n_jobs")
    try:
        with joblib.parallel_config("loky", inner_max_num_threads=study.config.threads):
            with _ignored_interrupts():
                results = parallel(jobs)
            for finished in results:
                yield cast(tuple[RunConfig, str | None], finished)
    except TerminatedWorkerError as error:
        done, all_cells = len(study.finished()), len(list(study.cells()))
        raise RunError(
            f"a worker process was killed, often for want of memory; {done} of {all_cells} runs "
            f"are finished in {study.folder}. Start the same command again to continue with the "
            "rest; --workers 1 needs the least memory"
        ) from error


@contextmanager
def _ignored_interrupts() -> Iterator[None]:
    """Start workers that ignore Ctrl-C, which reaches them too: their leader ends them.

    Processes inherit that a signal is ignored. Only the main thread can set it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _work(
    config: RunConfig, folder: Path, threads: int, keep_features: bool, parent: int
) -> tuple[RunConfig, str | None]:
    """Train one run in a worker; an error of its own becomes a message."""

    def stop_if_orphaned(_: object) -> None:
        if os.getpid() != parent and os.getppid() != parent:
            os._exit(1)  # the process that led this study is gone, and with it all that waits

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what a data library warns of was said by the leader
            run(config, folder, stop_if_orphaned, threads=threads, keep_features=keep_features)
    except LayermixError as error:
        return config, str(error)
    except Exception as error:  # of the net, the device or the disk: the other runs go on
        return config, f"{type(error).__name__}: {error}"
    return config, None
