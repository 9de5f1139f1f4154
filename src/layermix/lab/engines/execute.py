"""Execute a job in this process, and yield its events. All engines use it."""

import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from torch import Tensor, nn

import layermix
from layermix.errors import LayermixError, recorded_warnings
from layermix.lab.engines.job import Event, Job
from layermix.lab.own_training import own_result
from layermix.lab.run_setup import model_name, trainer_of
from layermix.lab.store import Record, RunResult, SavedState, run_files
from layermix.lab.store.files import json_digest
from layermix.lab.store.run_writer import worker_name
from layermix.lab.training import environment as env
from layermix.lab.training.checkpoint import checkpoint_bytes, load_checkpoint
from layermix.lab.training.final_evaluation import final_result
from layermix.lab.training.loop import Trainer
from layermix.lab.training.ranks import any_rank
from layermix.lab.training.sharding import whole_tensor
from layermix.mixing.distributed import from_first

_ALIVE_SECONDS = 1.0


def never() -> bool:
    """Return False: the job is not stopped."""
    return False


def execute(job: Job, is_stopped: Callable[[], bool] = never) -> Iterator[Event]:
    """Train a run, and yield its events; an error is an event too.

    If `is_stopped` returns True after an epoch, the run ends there, with a checkpoint.
    """
    events = attempt(job, is_stopped)
    try:
        while True:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the result has those of layermix
                event = next(events, None)
            if event is None:
                return
            yield event
    except LayermixError as error:
        yield Event(job.name, "failed", str(error))
    except Exception as error:  # of the model, device or disk: other runs continue
        place = traceback.extract_tb(error.__traceback__)[-1]
        text = f"{type(error).__name__}: {error} ({place.filename}, line {place.lineno})"
        yield Event(job.name, "failed", text)


def attempt(job: Job, is_stopped: Callable[[], bool] = never) -> Iterator[Event]:
    """Train a run, and yield its events; an error is raised. See `execute`."""
    return _own(job) if job.settings.train else _Execution(job, is_stopped).events()


def _own(job: Job) -> Iterator[Event]:
    """Call the training function of the user."""
    assert job.settings.train
    yield Event(job.name, "started", (worker_name(), 0))
    result = own_result(job.config, job.settings.train)
    result = replace(result, conditions=env.conditions(job.config.recipe.device))
    yield Event(job.name, "finished", run_files(job.config, result))


class _Execution:
    """The training of a job by the loop of the lab."""

    def __init__(self, job: Job, is_stopped: Callable[[], bool]) -> None:
        self.job, self.is_stopped = job, is_stopped
        self.records: list[Record] = []
        self.features: dict[str, Tensor] = {}  # before training
        self.key = ""
        self.warned: list[str] = []  # texts of warnings

    def events(self) -> Iterator[Event]:
        """Train and yield events; settings of the process are restored between them."""
        steps = self._steps()
        while True:
            threads = env.cpu_settings(self.job.settings.threads)
            with threads, env.fast_convolutions(), recorded_warnings() as texts:
                event = next(steps, None)
            self.warned = list(dict.fromkeys([*self.warned, *texts]))
            if event is None:
                return
            yield event

    def _steps(self) -> Iterator[Event]:
        trainer = self._trainer()
        if self.job.checkpoint:
            trainer = yield from self._resume(trainer)
        elif self.job.keep_features:
            self.features = trainer.monitor.features("start")
        yield Event(self.job.name, "started", (worker_name(), len(self.records)))
        if (yield from self._train(trainer)):
            yield Event(self.job.name, "stopped")
            return
        result = final_result(trainer, self.records)
        yield Event(self.job.name, "alive")  # so that all warnings are collected
        yield Event(self.job.name, "finished", self._files(trainer, result))

    def _files(self, trainer: Trainer, result: RunResult) -> dict[str, bytes]:
        tensors = {"weights": _whole(trainer.raw_model)} if self.job.keep_weights else {}
        if self.job.keep_features:
            tensors["features"] = self.features | trainer.monitor.features("end")
        conditions = env.conditions(self.job.config.recipe.device)
        result = replace(result, warnings=self.warned, conditions=conditions)
        model = model_name(self.job.config.model, trainer.data)
        config = replace(self.job.config, recipe=trainer.recipe, model=model)
        return run_files(config, result, **tensors)

    def _trainer(self) -> Trainer:
        settings = self.job.settings
        return trainer_of(self.job.config, settings.all_points, settings.factory)

    def _resume(self, trainer: Trainer) -> Iterator[Event]:
        """Load the checkpoint of the job; return the trainer, a new one if that is impossible."""
        assert self.job.checkpoint
        try:
            found, self.features = load_checkpoint(
                trainer, self._key(trainer), self.job.checkpoint.content
            )
            self.records, self.warned = found["records"], found["warnings"]
        except (LayermixError, LookupError, TypeError, ValueError, RuntimeError) as error:
            yield Event(self.job.name, "note", f"starts again: {error}")
            return self._trainer()
        return trainer

    def _train(self, trainer: Trainer) -> Iterator[Event]:
        """Train and yield events; return True if the run was stopped before its end."""
        name, finished = self.job.name, len(self.records) - 1 if self.records else None
        saved = alive = time.monotonic()
        for record in trainer.progress(finished):
            now = time.monotonic()
            if record is None:
                if now - alive >= _ALIVE_SECONDS:
                    alive = now
                    yield Event(name, "alive")
                continue
            self.records.append(record)
            yield Event(name, "record", record)
            stopped = any_rank(self.is_stopped()) and record["epoch"] < trainer.recipe.epochs
            if stopped or from_first(now - saved >= self.job.settings.checkpoint_every):
                saved = now
                yield Event(name, "checkpoint", self._saved(trainer))
            if stopped:
                return True
        return False

    def _saved(self, trainer: Trainer) -> SavedState:
        content = {"records": self.records, "warnings": self.warned}
        saved = checkpoint_bytes(trainer, self._key(trainer), content, self.features)
        return SavedState(self.records[-1]["epoch"], saved)

    def _key(self, trainer: Trainer) -> str:
        """Return a hash of the settings, the data and the versions of the run."""
        if not self.key:
            versions = [layermix.__version__, torch.__version__]
            config = self.job.config  # a checkpoint has whole weights
            name = replace(config, recipe=replace(config.recipe, shard=False)).folder_name
            self.key = json_digest([name, trainer.data.digests, *versions])
        return self.key


def _whole(model: nn.Module) -> dict[str, Tensor]:
    return {name: whole_tensor(tensor) for name, tensor in model.state_dict().items()}
