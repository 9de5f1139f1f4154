"""Train one run, from its configuration to its output folder."""

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from layermix.errors import InputError, RunError
from layermix.extras import require
from layermix.hooks import Points
from layermix.lab.engines.execute import attempt
from layermix.lab.engines.job import Job, JobSettings
from layermix.lab.engines.written_events import finish_run, records_text, write_event
from layermix.lab.models import Factory
from layermix.lab.stop import StopRequest, stop_requests
from layermix.lab.store import (
    Record,
    RunConfig,
    RunResult,
    RunWriter,
    disk_errors,
    parsed_run,
)
from layermix.lab.training.environment import check_threads
from layermix.lab.training.ranks import lost_ranks, process_group
from layermix.mixing.distributed import from_first


def run(
    config: RunConfig,
    folder: Path,
    on_epoch: Callable[[Record], None] | None = None,
    *,
    threads: int | None = None,
    keep_features: bool = False,
    all_points: Points | None = None,
    factory: Factory | None = None,
    checkpoint_every: float = 300.0,
) -> RunResult:
    """Train a model and write its output folder, which is created when the run is finished.

    A run that was stopped or killed continues from its last checkpoint, if all settings, data and
    versions are the same. Several processes, started by ``torchrun``, train one run together; the
    batch is divided among them.

    Parameters
    ----------
    on_epoch
        Called with the record of each epoch.
    threads
        Number of CPU threads; None uses torch's default.
    keep_features
        If True, also write the activations of the monitored batch before and after training.
    all_points
        All mix points of the model; None lists them with `find_points`.
    factory
        Builds the model, with those arguments of the data that it accepts (see `build`); None
        builds it by its name.
    checkpoint_every
        Seconds between two checkpoints, which are written at the end of an epoch, and when the run
        is stopped by Ctrl-C, SIGTERM or SIGHUP.

    Raises
    ------
    InputError
        If the folder exists, another process trains the run, or the data, model, variant or device
        is invalid.
    RunError
        If the loss becomes NaN or infinite, or a file cannot be written. The files remain in
        ``FOLDER-unfinished``.
    """
    require("torchmetrics")  # is only imported after training
    config.check()
    check_threads(threads)
    if not checkpoint_every > 0:
        raise InputError(
            f"checkpoint_every is {checkpoint_every}, but must be a number of seconds above 0"
        )
    settings = JobSettings(threads, all_points, factory, checkpoint_every=checkpoint_every)
    job = Job(folder.name, config, settings, keep_features=keep_features)
    with process_group() as (rank, _), stop_requests() as request:
        if rank > 0:  # of several processes, the first one writes
            return _trained(replace(job, checkpoint=from_first(None)), None, request, None)
        if os.path.lexists(folder):  # also a link to nowhere
            raise InputError(f"the output folder {folder} exists already: use another --out")
        with disk_errors(f"cannot write the run {folder}"):
            parents = [parent for parent in folder.parents if not parent.exists()]
            writer = RunWriter.claim(folder)
            if writer is None:
                raise InputError(f"another process trains the run {folder}: use another --out")
            try:
                job = replace(job, checkpoint=from_first(writer.checkpoint()))
                return _trained(job, writer, request, on_epoch)
            except RunError as error:
                writer.end(f"failed: {error}")
                raise RunError(f"{error}. {records_text(writer)}") from error
            except BaseException as error:
                stopped = isinstance(error, KeyboardInterrupt)
                writer.end("stopped" if stopped else f"failed: {type(error).__name__}: {error}")
                raise
            finally:
                writer.release()
                for parent in parents if not writer.attempts else ():
                    with suppress(OSError):  # another process uses it
                        parent.rmdir()


def _trained(
    job: Job,
    writer: RunWriter | None,
    request: StopRequest,
    on_epoch: Callable[[Record], None] | None,
) -> RunResult:
    """Train a run, and write its events if there is a writer; return its result."""
    with lost_ranks():
        for event in attempt(job, lambda: bool(request)):
            if event.kind == "finished":
                return finish_run(writer, event.content) if writer else parsed_run(event.content)[1]
            if writer:
                write_event(writer, event)
            if event.kind == "record" and on_epoch:
                on_epoch(event.content)
            if request.is_overdue:
                break
        request.raise_stopped()
    raise AssertionError  # never reached: the request raises
