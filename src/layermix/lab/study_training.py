"""Train the missing runs of a study."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from rich.console import Console
from tyro.conf import arg

from layermix.errors import InputError, RunError, warn
from layermix.extras import require
from layermix.lab.display import StudyDisplay, print_text
from layermix.lab.engines.dispatch import Dispatcher
from layermix.lab.engines.inline import InlineEngine
from layermix.lab.engines.job import Engine, JobSettings
from layermix.lab.models import Factory
from layermix.lab.own_training import TrainFunction
from layermix.lab.run_setup import find_points, fresh_model, load_once
from layermix.lab.stop import stop_requests
from layermix.lab.store import RunWriter, disk_errors
from layermix.lab.study import StudyFolder
from layermix.lab.study_config import StudyConfig
from layermix.lab.training.environment import pick_device
from layermix.lab.typed import check_types, require_range

_WORKERS = 10_000
_Workers = Annotated[int | Literal["auto"] | None, arg(metavar="INT|auto")]


@dataclass(frozen=True)
class Execution:
    """How runs are executed. This does not change their results."""

    workers: _Workers = None
    """Number of parallel runs, or auto: a trial of a few seconds finds it. Default: one for each
    core, and auto on a GPU. With several GPUs, runs are spread over all."""
    weights: Literal["all", "first", "none"] = "all"
    """Store the weights of all runs, of the first seed, or of none."""
    checkpoint_every: float = 300.0
    """Seconds between two checkpoints of a run, from which it continues after an interruption."""
    stall_timeout: float = 3600.0
    """Seconds without progress after which the process of a run is ended, and the run continues
    from its checkpoint in another one; not with --workers 1."""
    engine: Literal["local", "ray"] = "local"
    """Train in processes of this machine, or on a Ray cluster (layermix[ray])."""
    ray_address: str | None = None
    """Address of the Ray cluster, such as 10.0.0.1:6379. Default: the cluster of this machine."""
    ray_gpus: float | None = None
    """GPUs of each run on the Ray cluster, also a fraction. Default: 1 if --device is cuda, else
    0."""

    def check(self) -> None:
        """Raise an `InputError` if a setting is invalid."""
        check_types(self)
        require_range("workers", None if self.workers == "auto" else self.workers, 1, _WORKERS)
        for name in ("checkpoint_every", "stall_timeout"):
            if not (value := getattr(self, name)) > 0:
                raise InputError(f"{name} is {value}, but must be a number of seconds above 0")
        if self.ray_gpus is not None and not 0 <= self.ray_gpus < math.inf:
            raise InputError(f"ray_gpus is {self.ray_gpus}, but must be 0 or more")


def train_study(
    config: StudyConfig,
    folder: Path | str,
    execution: Execution = Execution(),
    *,
    console: Console | None = None,
    train: TrainFunction | None = None,
    factory: Factory | None = None,
) -> StudyFolder:
    """Train all runs of a study that are not yet finished in its folder.

    Several processes, also on several machines that share the disk, can train the same study. Each
    run is trained by one of them; the function returns when all runs are finished. Ctrl-C, SIGTERM
    and SIGHUP let the current epochs end, and write a checkpoint of each run.

    Parameters
    ----------
    execution
        Number of parallel runs, and further settings without an effect on the results. A function
        `train` is called in this process, one run after another, if `workers` is not given.
    console
        Console that shows the progress; None shows nothing.
    train, factory
        Functions that train a run, or build the model, if the study has them.

    Raises
    ------
    InputError
        If the folder belongs to another study, or a setting is invalid.
    RunError
        If runs failed, a file cannot be written, or the data changed. Finished runs remain on disk.
    """
    require("torchmetrics")
    execution.check()
    if execution.workers == "auto" and train:
        raise InputError(
            "workers is 'auto', but the trial needs the built-in training: use a number"
        )
    study = StudyFolder(config, Path(folder))
    return continue_study(study, execution, console=console, train=train, factory=factory)


def continue_study(
    study: StudyFolder,
    execution: Execution = Execution(),
    *,
    console: Console | None = None,
    train: TrainFunction | None = None,
    factory: Factory | None = None,
    waits: bool = True,
) -> StudyFolder:
    """Train the missing runs of a study; see `train_study`.

    If `waits` is False, return when all missing runs are trained by other processes.
    """
    if factory is None and train is None:
        study.require_trust()
    if study.config.train and train is None:
        raise InputError(
            f"the study in {study.folder} is trained by the function {study.config.train!r}: call "
            "compare with this function again"
        )
    if execution.engine == "local":
        pick_device(study.config.recipe.device)
    for cell, problem in study.damaged().items():
        text = study.set_aside(cell, problem)
        print_text(console, f"Warning: {text}", fold=True) if console else warn(text)
    with disk_errors(f"cannot write the study in {study.folder}"):
        RunWriter.remove_leftovers(study.runs)
    missing = study.missing()
    if missing:
        study.require_data(load_once(study.config.data, missing[0].seed), missing[0].seed)
    settings, engine = JobSettings(), InlineEngine()
    if missing:
        settings = _job_settings(study, execution, train, factory)
        engine = engine_of(study, execution, settings, console)
    problems: list[str] = []
    with (
        stop_requests(at_once=train is not None) as request,
        StudyDisplay(console or Console(quiet=True), study, engine.slots) as display,
    ):
        dispatcher = Dispatcher(
            study,
            engine,
            settings,
            weights=execution.weights,
            stall_timeout=execution.stall_timeout,
            request=request,
            report=display.report,
            on_record=display.record,
            waits=waits,
        )
        for cell, outcome in dispatcher.outcomes():
            display.add(cell, outcome)
            if isinstance(outcome, str):
                problems.append(f"{cell.name}: {outcome}")
    if problems:
        raise RunError(
            f"{len(problems)} of {display.total} runs failed, `layermix report {study.folder}` "
            f"reports the others, and the first error is: {problems[0]}"
        )
    return study


def _job_settings(
    study: StudyFolder,
    execution: Execution,
    train: TrainFunction | None,
    factory: Factory | None,
) -> JobSettings:
    config, known = study.config, study.config.all_points
    if known is None and train is None:
        data, seed = load_once(config.data, config.seeds[0]), config.seeds[0]
        known = find_points(fresh_model(config.model, data, seed, factory), data)
    return JobSettings(config.threads, known, factory, train, execution.checkpoint_every)


def _workers(
    study: StudyFolder, execution: Execution, settings: JobSettings, console: Console | None
) -> int:
    """Return the number of parallel runs."""
    from layermix.lab.engines.local import default_workers
    from layermix.lab.engines.packing import chosen_workers

    workers, cells = execution.workers, study.missing()
    if workers is None:
        usual = default_workers(study.config.recipe.device)
        workers = 1 if settings.train else usual or "auto"
    if workers != "auto":
        return min(workers, len(cells))
    if len(cells) < 2:
        return 1
    try:
        found = chosen_workers(cells, settings)
    except Exception as error:  # the first run will fail as well, and show it
        warn(
            f"the trial for the number of parallel runs failed, so there is one at a time: {error}"
        )
        return 1
    if console:
        print_text(console, f"parallel runs: {found.workers} ({found.reason})")
    return found.workers


def engine_of(
    study: StudyFolder, execution: Execution, settings: JobSettings, console: Console | None
) -> Engine:
    """Return the engine for the missing runs of a study."""
    if execution.engine == "ray":
        return _ray_engine(study, execution)
    workers = _workers(study, execution, settings, console)
    if workers == 1:
        return InlineEngine()
    from layermix.lab.engines.local import LocalEngine
    from layermix.lab.engines.packing import spread_over

    return LocalEngine(workers, study.config.threads, spread_over(study.config.recipe.device))


def _ray_engine(study: StudyFolder, execution: Execution) -> Engine:
    from layermix.lab.engines.ray_engine import RayEngine

    config, workers = study.config, execution.workers
    gpus = execution.ray_gpus
    return RayEngine(
        config.data,
        address=execution.ray_address,
        cpus=config.threads,
        gpus=(1 if config.recipe.device.startswith("cuda") else 0) if gpus is None else gpus,
        workers=None if workers in (None, "auto") else workers,
    )
