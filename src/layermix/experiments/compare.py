"""Compare mix points: train what is missing of a study."""

from pathlib import Path

from rich.console import Console

from layermix.errors import InputError, RunError
from layermix.experiments.console import tell
from layermix.experiments.engines.local import default_workers, run_missing
from layermix.experiments.progress import StudyView, study_text
from layermix.experiments.run import load_once
from layermix.experiments.study import Study, StudyConfig
from layermix.extras import require


def compare(
    config: StudyConfig,
    folder: Path | str,
    workers: int | None = None,
    console: Console | None = None,
) -> Study:
    """Train every run of a study that is not in its folder yet.

    Parameters
    ----------
    config
        What to compare; `plan` completes and checks it.
    folder
        The study's folder; an interrupted study continues there.
    workers
        Number of processes; one for each core when left out, one on a GPU.
    console
        Where to show progress; nowhere when left out.

    Raises
    ------
    InputError
        When the folder belongs to another study, or workers < 1.
    ModuleNotFoundError
        When a module is missing that the runs need.
    RunError
        When runs failed or a worker was killed; what was finished stays on disk.
    """
    require("torchmetrics")  # which a run imports after its training
    if workers is None:
        workers = default_workers(config.recipe.device)
    if workers < 1:
        raise InputError(f"workers is {workers}, but must be 1 or more")
    study = Study(config, Path(folder))
    console, problems = console or Console(quiet=True), []
    with StudyView(console, study) as view:
        if view.done < view.total:
            tell(console, study_text(study, load_once(config.data), workers))
        for cell, problem in run_missing(study, workers):
            view.finished(cell, problem)
            if problem:
                problems.append(f"{cell.name}: {problem}")
    if problems:
        raise RunError(
            f"{len(problems)} of {view.total} runs failed. Of those that are finished "
            f"`layermix report {study.folder}` makes a report. First {problems[0]}"
        )
    return study
