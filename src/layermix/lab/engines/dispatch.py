"""Train the missing runs of a study with an engine: claim, submit, write, and submit again.

This process writes all files. It claims each run before it is submitted; runs that other processes
have claimed are left to them, and taken over if these end. A run whose process was lost continues
from its last checkpoint, at most `_ATTEMPTS` times in all.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

from layermix.errors import InputError
from layermix.lab.engines.job import Engine, Event, Job, JobSettings
from layermix.lab.engines.waiting import WaitingRuns
from layermix.lab.engines.written_events import finish_run, records_text, write_event
from layermix.lab.stop import StopRequest
from layermix.lab.store import (
    DamagedRun,
    RunConfig,
    RunResult,
    RunWriter,
    disk_errors,
    read_result,
)
from layermix.lab.study import StudyFolder

Outcome = tuple[RunConfig, RunResult | str]

_ATTEMPTS = 3
_POLL_SECONDS, _LONGEST_PAUSE = 0.5, 8.0


@dataclass
class _Running:
    """A run that is trained now."""

    cell: RunConfig
    writer: RunWriter
    job: Job
    last: float = field(default_factory=time.monotonic)  # time of the last event
    lost: int = 0  # number of lost processes


class Dispatcher:
    """Train the missing runs of a study.

    Parameters
    ----------
    study, engine, settings
        The study, the engine, which is closed at the end, and the settings of all jobs.
    weights
        Runs whose weights are stored: ``"none"``, those of the ``"first"`` seed, or ``"all"``.
    stall_timeout
        Seconds without an event after which a process is ended and its run tried again, or None.
    request
        A request to stop.
    report, on_record
        Called with texts about what happens to runs; and with a run and its number of finished
        epochs.
    waits
        If False, do not wait for runs that other processes train, and do not yield their results.
    """

    def __init__(
        self,
        study: StudyFolder,
        engine: Engine,
        settings: JobSettings,
        *,
        weights: str = "all",
        stall_timeout: float | None = None,
        request: StopRequest | None = None,
        report: Callable[[str], object] = bool,
        on_record: Callable[[RunConfig, int], object] = lambda *_: None,
        waits: bool = True,
    ) -> None:
        self._study, self._engine, self._settings = study, engine, settings
        self._weights, self._stall = weights, stall_timeout
        self._report, self._on_record = report, on_record
        self._request, self._waits = StopRequest() if request is None else request, waits
        self._waiting = WaitingRuns(study)
        self._running: dict[str, _Running] = {}
        self._pause, self._retry_at = _POLL_SECONDS, 0.0

    def outcomes(self) -> Iterator[Outcome]:
        """Train; yield each run with its result or its error message.

        If a stop is requested, the runs end after their epoch, and `Stopped` is raised. Runs of
        other processes are yielded when these have finished them.
        """
        self._waiting.add(*self._study.missing())
        try:
            with disk_errors(f"cannot write the study in {self._study.folder}"):
                while self._waiting or self._running:
                    if self._request:
                        self._stop()
                    yield from self._fill()
                    if self._running:
                        yield from self._handle(self._engine.events(_POLL_SECONDS))
                        yield from self._end_stalled()
                    elif self._waiting:
                        if self._waits:
                            time.sleep(_POLL_SECONDS)
                            continue
                        self._retry_at = 0.0
                        yield from self._fill()  # a last look
                        if not self._running:
                            return
        finally:
            for running in self._running.values():
                running.writer.release()
            self._engine.close()

    def _fill(self) -> Iterator[Outcome]:
        """Claim and submit runs while the engine has free slots.

        If other processes have claimed all, this is repeated after pauses of increasing length.
        """
        if not self._waiting or self._is_full or time.monotonic() < self._retry_at:
            return
        finished, others = self._waiting.listed()
        for cell in finished:
            yield from self._finished_elsewhere(cell)
        for cell in others:
            if self._is_full:
                return
            if writer := RunWriter.claim(self._study.path(cell)):
                self._waiting.remove(cell)
                self._submit(cell, writer)
                self._pause = _POLL_SECONDS
        self._retry_at = time.monotonic() + self._pause
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)

    @property
    def _is_full(self) -> bool:
        return len(self._running) >= self._engine.slots

    def _finished_elsewhere(self, cell: RunConfig) -> Iterator[Outcome]:
        self._waiting.remove(cell)
        try:
            if self._waits:
                yield cell, read_result(self._study.path(cell))
        except DamagedRun as error:
            self._report(self._study.set_aside(cell, str(error)))
            self._waiting.add(cell)

    def _submit(self, cell: RunConfig, writer: RunWriter) -> None:
        first = cell.seed == self._study.config.seeds[0]
        job = Job(
            cell.folder_name,
            cell,
            self._settings,
            keep_weights=self._weights == "all" or (self._weights == "first" and first),
            keep_features=self._study.keeps_features(cell),
            checkpoint=writer.checkpoint(),
        )
        running = self._running[job.name] = _Running(cell, writer, job)
        try:
            self._engine.submit(job)
        except InputError:
            del self._running[job.name]
            running.writer.release()
            raise

    def _handle(self, events: Iterable[Event]) -> Iterator[Outcome]:
        for event in events:
            running = self._running.get(event.job)
            if running is None:
                continue
            running.last = time.monotonic()
            content = event.content
            write_event(running.writer, event)
            match event.kind:
                case "record":
                    self._on_record(running.cell, content["epoch"])
                case "finished":
                    yield from self._finish(running, content)
                case "failed":
                    yield self._fail(running, content)
                case "stopped":
                    self._release(running, "stopped; it can continue from its checkpoint")
                case "lost":
                    yield from self._retry(running, content)

    def _finish(self, running: _Running, files: dict[str, bytes]) -> Iterator[Outcome]:
        del self._running[running.job.name]
        try:
            yield from self._fill()  # so that no process is idle while the files are written
            result = finish_run(running.writer, files)
        except BaseException:
            running.writer.release()
            raise
        yield running.cell, result

    def _fail(self, running: _Running, message: str) -> Outcome:
        self._release(running, f"failed: {message}")
        started = running.writer.attempts
        return running.cell, message + (f". {records_text(running.writer)}" if started else "")

    def _release(self, running: _Running, reason: str) -> None:
        del self._running[running.job.name]
        running.writer.end(reason)
        running.writer.release()

    def _retry(self, running: _Running, reason: str) -> Iterator[Outcome]:
        """Submit a lost run again, from its last checkpoint."""
        running.lost += 1
        running.writer.end(reason)
        if running.lost >= _ATTEMPTS:
            yield self._fail(running, f"{reason}; there were {running.lost} attempts")
        elif self._request:
            self._release(running, reason)
        else:
            self._report(f"{running.cell.name}: {reason}. It is tried again")
            running.last = time.monotonic()
            running.job = replace(running.job, checkpoint=running.writer.checkpoint())
            self._engine.submit(running.job)

    def _end_stalled(self) -> Iterator[Outcome]:
        now = time.monotonic()
        for running in list(self._running.values()):
            if self._stall is not None and now - running.last > self._stall:
                self._engine.cancel(running.job.name)
                yield from self._retry(
                    running, f"its process did nothing for {self._stall:g} seconds, and was ended"
                )

    def _stop(self) -> None:
        """End all runs after their epoch, or after the time for checkpoints; raise `Stopped`."""
        self._waiting.clear()
        self._engine.stop()
        while self._running and not self._request.is_overdue:
            for _ in self._handle(self._engine.events(_POLL_SECONDS)):
                pass
        for running in self._running.values():
            running.writer.end("stopped")
        self._request.raise_stopped()
