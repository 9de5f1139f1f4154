"""Jobs, events and engines: how runs are given to processes, and what these send back.

An engine carries jobs to processes and their events back. It knows no folder: the process that
uses it (`dispatch`) writes all files, so that workers on other machines need no shared disk.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from layermix.hooks import Points
from layermix.lab.models import Factory
from layermix.lab.own_training import TrainFunction
from layermix.lab.store import RunConfig, SavedState

Kind = Literal[
    "started",  # content: the worker, and the number of records that a checkpoint had
    "record",  # content: the record of an epoch
    "alive",  # sent now and then between records
    "checkpoint",  # content: a `SavedState`
    "note",  # content: a text for the log
    "finished",  # content: the files of the run by name, as bytes
    "failed",  # content: the error message; another attempt would fail as well
    "stopped",  # the run ended after a checkpoint, because it was asked to
    "lost",  # content: why the process ended
]


@dataclass(frozen=True)
class JobSettings:
    """Settings of all runs of a study that do not change their results.

    `threads` are CPU threads of a run, None for torch's default; `all_points` the mix points of the
    model; `factory` builds the model, and `train` trains it, if they are functions of the user.
    """

    threads: int | None = None
    all_points: Points | None = field(default=None, repr=False)
    factory: Factory | None = None
    train: TrainFunction | None = None
    checkpoint_every: float = 300.0
    """Seconds between two checkpoints, which are written at the end of an epoch."""


@dataclass(frozen=True)
class Job:
    """A run to train, with the checkpoint from which it continues."""

    name: str
    config: RunConfig
    settings: JobSettings
    keep_weights: bool = True
    keep_features: bool = False
    checkpoint: SavedState | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Event:
    """Something that happened to the job `job`."""

    job: str
    kind: Kind
    content: Any = field(default=None, repr=False)


class Engine(Protocol):
    """Trains jobs, several at a time, and returns their events."""

    slots: int
    """Number of jobs that can be submitted at the same time."""

    def submit(self, job: Job) -> None:
        """Start a job, or start it as soon as a process is free."""

    def events(self, timeout: float) -> Iterable[Event]:
        """Wait for events, at most `timeout` seconds, and return them.

        The last event of each job is finished, failed, stopped or lost.
        """
        ...

    def cancel(self, job: str) -> None:
        """End the process of a job at once; it has no further event."""

    def stop(self) -> None:
        """Ask all jobs to end after their current epoch, with a checkpoint, where possible."""

    def close(self) -> None:
        """End all processes."""
