"""Compare variants: check the configuration of a study, and train its missing runs."""

from pathlib import Path
from typing import Literal

from rich.console import Console

from layermix.errors import InputError, RunError, warn
from layermix.extras import require
from layermix.lab.data import DataConfig
from layermix.lab.data.split import geometry_batch
from layermix.lab.display import StudyDisplay, print_text
from layermix.lab.models import Factory
from layermix.lab.own_training import TrainFunction, function_name
from layermix.lab.run import complete, find_points, fresh_model, load_once, model_name
from layermix.lab.study import MIN_SEEDS, StudyConfig, StudyFolder
from layermix.lab.training import Recipe
from layermix.lab.training.environment import pick_device
from layermix.lab.variants import check_variants, require_distinct

SEEDS = 10


def configure(
    data: DataConfig,
    model: str,
    recipe: Recipe,
    variants: tuple[str, ...] = (),
    *,
    seeds: int = SEEDS,
    threads: int = 1,
    margin: float = 0.5,
    looks: tuple[int, ...] = (),
    factory: Factory | None = None,
) -> StudyConfig:
    """Check the settings of a study, and return its complete configuration.

    The data are loaded and the model is built once, so that errors are raised before the first run.
    The default variants are none, input, each block, final, random and auto. Seeds start at 0.
    Differences of accuracy within ± `margin` points are practically equal. `looks` are the numbers
    of seeds at which results are planned to be read; the study starts with the seeds of the first.
    A `factory` builds the model, whose name is then only shown.
    """
    seeds = _checked_seeds(seeds, looks, margin)
    if threads < 1:
        raise InputError(f"threads is {threads}, but must be 1 or more")
    pick_device(recipe.device)
    loaded = load_once(data, 0)
    complete(recipe, loaded)
    model = model_name(model, loaded)
    geometry_batch(loaded, "validation")
    all_points = find_points(fresh_model(model, loaded, 0, factory), loaded)
    chosen = check_variants(variants, all_points, recipe)
    if "auto" in chosen and recipe.adapt:
        geometry_batch(loaded, "training")
    return StudyConfig(
        data,
        model,
        recipe,
        chosen,
        tuple(range(seeds)),
        threads,
        margin,
        looks,
        all_points=all_points,
    )


def configure_own(
    data: DataConfig,
    train: TrainFunction,
    variants: tuple[str, ...],
    *,
    seeds: int = SEEDS,
    margin: float = 0.5,
    looks: tuple[int, ...] = (),
) -> StudyConfig:
    """Return the configuration of a study whose runs a function trains; see `configure`.

    `variants` are checked when the function creates its mixer.
    """
    seeds = _checked_seeds(seeds, looks, margin)
    loaded = load_once(data, 0)
    first = "embedding" if loaded.modality.name == "text" else "input"
    chosen = tuple(variants) or ("none", first, "final")
    require_distinct(chosen)
    if "auto" in chosen:
        raise InputError(
            "the variant 'auto' measures the layers in the built-in training: leave out train, or "
            "use 'random'"
        )
    name, numbers = function_name(train), tuple(range(seeds))
    return StudyConfig(
        data, name, Recipe(), chosen, numbers, margin=margin, looks=looks, train=name
    )


def _checked_seeds(seeds: int, looks: tuple[int, ...], margin: float) -> int:
    """Check the statistical settings, and return the number of seeds of the first look."""
    increasing = len(looks) > 1 and list(looks) == sorted(set(looks))
    if looks and not (increasing and looks[0] >= MIN_SEEDS):
        raise InputError(
            f"looks are {list(looks)}, but must be two or more increasing numbers of seeds from "
            f"{MIN_SEEDS} on, such as 10 20 30"
        )
    if looks and seeds not in (SEEDS, looks[0]):
        raise InputError(
            f"seeds is {seeds}, but looks are {list(looks)}, which set the number of seeds: leave "
            "out one of them"
        )
    if not 0 < margin < 100:
        raise InputError(f"margin is {margin}, but must be a number of points above 0, such as 0.5")
    if seeds < 1:
        raise InputError(f"seeds is {seeds}, but must be 1 or more")
    return looks[0] if looks else seeds


def train_study(
    config: StudyConfig,
    folder: Path | str,
    *,
    workers: int | Literal["auto"] | None = None,
    console: Console | None = None,
    train: TrainFunction | None = None,
    factory: Factory | None = None,
) -> StudyFolder:
    """Train all runs of a study that are not yet finished in its folder.

    Parameters
    ----------
    workers
        Number of worker processes, or ``"auto"``, which finds it by a trial of a few seconds.
        Default: one for each CPU core, and ``"auto"`` on a GPU; for a function of the user, its
        calls are in this process, one after another. With several GPUs, runs are spread over all.
    console
        Console that shows the progress; None shows nothing.
    train, factory
        Functions that train a run, or build the model, if the study has them.

    Raises
    ------
    InputError
        If the folder belongs to another study, or `workers` is below 1.
    RunError
        If runs failed, a worker was killed, or the data changed. Finished runs remain on disk.
    """
    from layermix.lab.engines.local import default_workers, run_missing

    require("torchmetrics")
    if workers is None:
        workers = 1 if train else default_workers(config.recipe.device) or "auto"
    if workers == "auto" and train:
        raise InputError(
            "workers is 'auto', but the trial needs the built-in training: use a number"
        )
    if workers != "auto" and workers < 1:
        raise InputError(f"workers is {workers}, but must be 1 or more")
    study, problems = StudyFolder(config, Path(folder)), []
    if study.missing():
        study.require_data(load_once(config.data, config.seeds[0]), config.seeds[0])
    if workers == "auto":
        workers = _workers_by_trial(study, factory, console)
    with StudyDisplay(console or Console(quiet=True), study, workers) as display:
        for cell, outcome in run_missing(study, workers, train, factory):
            display.add(cell, outcome)
            if isinstance(outcome, str):
                problems.append(f"{cell.name}: {outcome}")
    if problems:
        raise RunError(
            f"{len(problems)} of {display.total} runs failed; `layermix report {study.folder}` "
            f"reports the finished ones. First error: {problems[0]}"
        )
    return study


def _workers_by_trial(study: StudyFolder, factory: Factory | None, console: Console | None) -> int:
    from layermix.lab.engines.local import run_settings
    from layermix.lab.engines.packing import chosen_workers

    cells = study.missing()
    if len(cells) < 2:
        return 1
    try:
        found = chosen_workers(cells, run_settings(study, factory))
    except Exception as error:  # the first run will fail as well, and show it
        warn(
            f"the trial for the number of parallel runs failed, so there is one at a time: {error}"
        )
        return 1
    if console:
        print_text(console, f"parallel runs: {found.workers} ({found.reason})")
    return found.workers
