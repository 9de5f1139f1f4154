"""Compare variants: check the configuration of a study, and train its missing runs."""

from pathlib import Path

from rich.console import Console

from layermix.errors import InputError, RunError
from layermix.experiments.data import DataConfig
from layermix.experiments.data.split import geometry_batch
from layermix.experiments.display import StudyDisplay
from layermix.experiments.run import complete, find_points, fresh_model, load_once
from layermix.experiments.study import MIN_SEEDS, Study, StudyConfig
from layermix.experiments.training import Recipe
from layermix.experiments.training.environment import pick_device
from layermix.experiments.variants import check_variants
from layermix.extras import require

_SEEDS = 10


def configure(
    data: DataConfig,
    model: str,
    recipe: Recipe,
    variants: tuple[str, ...] = (),
    *,
    seeds: int = _SEEDS,
    threads: int = 1,
    margin: float = 0.5,
    looks: tuple[int, ...] = (),
) -> StudyConfig:
    """Check the settings of a study, and return its complete configuration.

    The data are loaded and the model is built once, so that errors are raised before the first run.
    The default variants are none, input, each block, final, random and auto. Seeds start at 0.
    Differences of accuracy within ± `margin` points are practically equal. `looks` are the numbers
    of seeds at which results are planned to be read; the study starts with the seeds of the first.
    """
    _check_looks(looks)
    if looks and seeds not in (_SEEDS, looks[0]):
        raise InputError(
            f"seeds is {seeds}, but looks are {list(looks)}, which set the number of seeds: leave "
            "out one of them"
        )
    if not 0 < margin < 100:
        raise InputError(f"margin is {margin}, but must be a number of points above 0, such as 0.5")
    seeds = looks[0] if looks else seeds
    for name, value in (("seeds", seeds), ("threads", threads)):
        if value < 1:
            raise InputError(f"{name} is {value}, but must be 1 or more")
    pick_device(recipe.device)
    loaded = load_once(data, 0)
    complete(recipe, data, loaded)
    geometry_batch(loaded, "validation")
    all_points = find_points(fresh_model(model, loaded, seed=0), loaded)
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


def _check_looks(looks: tuple[int, ...]) -> None:
    increasing = len(looks) > 1 and list(looks) == sorted(set(looks))
    if looks and not (increasing and looks[0] >= MIN_SEEDS):
        raise InputError(
            f"looks are {list(looks)}, but must be two or more increasing numbers of seeds from "
            f"{MIN_SEEDS} on, such as 10 20 30"
        )


def compare(
    config: StudyConfig,
    folder: Path | str,
    *,
    workers: int | None = None,
    console: Console | None = None,
) -> Study:
    """Train all runs of a study that are not yet finished in its folder.

    Parameters
    ----------
    workers
        Number of worker processes. Default: one for each CPU core, or one on a GPU.
    console
        Console that shows the progress; None shows nothing.

    Raises
    ------
    InputError
        If the folder belongs to another study, or `workers` is below 1.
    RunError
        If runs failed, a worker was killed, or the data changed. Finished runs remain on disk.
    """
    from layermix.experiments.engines.local import default_workers, run_missing

    require("torchmetrics")
    if workers is None:
        workers = default_workers(config.recipe.device)
    if workers < 1:
        raise InputError(f"workers is {workers}, but must be 1 or more")
    study, problems = Study(config, Path(folder)), []
    if study.missing():
        study.require_data(load_once(config.data, config.seeds[0]).sizes)
    with StudyDisplay(console or Console(quiet=True), study, workers) as display:
        for cell, outcome in run_missing(study, workers):
            display.add(cell, outcome)
            if isinstance(outcome, str):
                problems.append(f"{cell.name}: {outcome}")
    if problems:
        raise RunError(
            f"{len(problems)} of {display.total} runs failed; `layermix report {study.folder}` "
            f"reports the finished ones. First error: {problems[0]}"
        )
    return study
