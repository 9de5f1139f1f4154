"""Train the missing runs of a study in parallel worker processes (joblib's loky).

Each worker trains one run at a time, with its own threads, and loads the data once.
"""

import os
import signal
import tempfile
import threading
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import joblib
from joblib.externals.loky.process_executor import TerminatedWorkerError

from layermix.errors import LayermixError, RunError
from layermix.lab.engines.packing import claim_gpu, spread_over
from layermix.lab.models import Factory
from layermix.lab.own_training import TrainFunction, run_own
from layermix.lab.run import find_points, fresh_model, load_once, run
from layermix.lab.store import RunConfig, RunResult
from layermix.lab.study import StudyFolder
from layermix.lab.training.environment import pick_device

Outcome = tuple[RunConfig, RunResult | str]


def default_workers(device: str) -> int | None:
    """Return the number of parallel runs on a CPU, one for each core; None on a GPU."""
    return joblib.cpu_count() if pick_device(device).type == "cpu" else None


def run_missing(
    study: StudyFolder,
    workers: int,
    train: TrainFunction | None = None,
    factory: Factory | None = None,
) -> Iterator[Outcome]:
    """Train the missing runs; yield each run with its result or its error message.

    A function `train` of the user replaces the training loop, and `factory` builds the model. If a
    worker process is killed, a `RunError` is raised. Finished runs remain on disk.
    """
    missing, config = study.missing(), study.config
    if not missing:
        return
    settings = {"train": train} if train else run_settings(study, factory)
    gpus = spread_over(config.recipe.device) if workers > 1 else 1
    slots = tempfile.TemporaryDirectory()
    placement = (Path(slots.name), gpus) if gpus > 1 else None
    jobs = (
        joblib.delayed(_work)(
            os.getpid(), cell, study.path(cell), study.keeps_features(cell), settings, placement
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
    finally:
        slots.cleanup()


def run_settings(study: StudyFolder, factory: Factory | None) -> dict[str, Any]:
    """Return the arguments of `run` that all runs of a study share."""
    config, known = study.config, study.config.all_points
    if known is None:
        data = load_once(config.data, config.seeds[0])
        known = find_points(fresh_model(config.model, data, config.seeds[0], factory), data)
    return {"threads": config.threads, "factory": factory, "all_points": known}


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


def _work(
    leader: int,
    config: RunConfig,
    folder: Path,
    keep_features: bool,
    settings: dict[str, Any],
    placement: tuple[Path, int] | None,
) -> Outcome:
    """Train one run in a worker; return its result or its error message.

    `placement` has the arguments of `claim_gpu`, if the runs are spread over several GPUs.
    """

    def stop_without_leader(_: object) -> None:
        if os.getpid() != leader and os.getppid() != leader:
            os._exit(1)  # the main process has ended, so the study was stopped

    try:
        if placement:
            claim_gpu(*placement)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the result has those of layermix
            if "train" in settings:
                result = run_own(config, settings["train"], folder)
            else:
                result = run(
                    config, folder, stop_without_leader, keep_features=keep_features, **settings
                )
            return config, replace(result, logits={})  # they are on disk, and need not be sent
    except LayermixError as error:
        return config, str(error)
    except Exception as error:  # any error of the model, device or disk: other runs continue
        place = traceback.extract_tb(error.__traceback__)[-1]
        return config, f"{type(error).__name__}: {error} ({place.filename}, line {place.lineno})"
