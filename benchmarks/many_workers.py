"""A study that a thousand workers train: the work of the store, without training."""

import random
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import numpy as np

from benchmarks.large_study import VARIANTS, trained_files, with_other_accuracy
from layermix.lab import DataConfig, Recipe, StudyConfig, StudyFolder, configure
from layermix.lab.engines.dispatch import Dispatcher
from layermix.lab.engines.job import Event, Job, JobSettings
from layermix.lab.engines.waiting import WaitingRuns
from layermix.lab.store import RunConfig, RunWriter


def many_workers(
    workers: int = 1000, runs: int = 10_000, seconds: float = 30.0, in_order: bool = False
) -> None:
    """python -m benchmarks many-workers --workers 1000 --runs 10000

    Simulate the workers of `layermix work --no-wait` on one study. They are threads of a process,
    each with its own locks, and train nothing: a run takes a random time. Lists, claims, records
    and commits are real ones, on a local disk.

    Args:
        workers: Number of workers, which all begin within one second.
        runs: Number of runs.
        seconds: Mean time of a run; between half of it and one and a half.
        in_order: Try runs in the order of the study, instead of choosing among the next ones.
    """
    config = configure(
        DataConfig(), "resnet-small", Recipe(), VARIANTS, seeds=-(-runs // len(VARIANTS))
    )
    files = trained_files(config, "none")
    with tempfile.TemporaryDirectory() as temporary, _counted(in_order) as counts:
        study = _Study(config, Path(temporary) / "study")
        started = time.perf_counter()
        threads = [
            threading.Thread(target=_work, args=(study, _Idle(files, seconds, number)))
            for number in range(workers)
        ]
        for thread in threads:
            time.sleep(1 / workers)
            thread.start()
        for thread in threads:
            thread.join()
        passed = time.perf_counter() - started
        finished = len(list(study.runs.iterdir()))
    ideal = finished * seconds / workers
    print(
        f"{finished:,} runs by {workers:,} workers in {passed:.0f} s; alone {ideal:.0f} s."
        f" For each run: {counts['claims'] / finished:.2f} attempts to claim, "
        f"{1e3 * counts['claim s'] / finished:.1f} ms; {counts['lists'] / finished:.2f} lists, "
        f"{1e3 * counts['list s'] / finished:.1f} ms"
    )


class _Study(StudyFolder):
    """A study whose list of runs is computed once for all workers."""

    def __init__(self, config: StudyConfig, folder: Path) -> None:
        super().__init__(config, folder)
        self._all = list(super().cells())

    def cells(self) -> Iterable[RunConfig]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return self._all


class _Idle:
    """An engine whose jobs take a random time, and have the results of one trained run."""

    slots = 1

    def __init__(self, files: dict[str, bytes], seconds: float, seed: int) -> None:
        self._files, self._seconds = files, seconds
        self._rng, self._numbers = random.Random(seed), np.random.default_rng(seed)
        self._job, self._end = None, 0.0

    def submit(self, job: Job) -> None:
        self._job, self._end = job, time.monotonic() + self._seconds * self._rng.uniform(0.5, 1.5)

    def events(self, timeout: float) -> list[Event]:
        assert self._job
        left = self._end - time.monotonic()
        time.sleep(max(0.0, min(left, timeout)))
        if left > timeout:
            return []
        job = self._job
        files = with_other_accuracy(self._files, job.config, self._numbers)
        return [Event(job.name, "started", ("simulated", 0)), Event(job.name, "finished", files)]

    def cancel(self, job: str) -> None: ...

    def stop(self) -> None: ...

    def close(self) -> None: ...


def _work(study: StudyFolder, engine: _Idle) -> None:
    for _ in Dispatcher(study, engine, JobSettings(), waits=False).outcomes():
        pass


@contextmanager
def _counted(in_order: bool):
    """Inside the block, claims and lists are counted and timed; yield the numbers."""
    counts: Counter[str] = Counter()
    claim, listed = RunWriter.claim, WaitingRuns.listed

    def counted_claim(path: Path) -> RunWriter | None:
        begun = time.perf_counter()
        found = claim(path)
        counts["claims"] += 1
        counts["claim s"] += time.perf_counter() - begun  # pyright: ignore[reportArgumentType]
        return found

    def counted_list(waiting: WaitingRuns) -> tuple[list[RunConfig], list[RunConfig]]:
        begun = time.perf_counter()
        finished, order = listed(waiting)
        if in_order:
            order.sort(key=lambda cell: (cell.seed, VARIANTS.index(cell.variant)))
        counts["lists"] += 1
        counts["list s"] += time.perf_counter() - begun  # pyright: ignore[reportArgumentType]
        return finished, order

    with (
        mock.patch.object(RunWriter, "claim", counted_claim),
        mock.patch.object(WaitingRuns, "listed", counted_list),
    ):
        yield counts
