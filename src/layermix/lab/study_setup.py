"""Check the settings of a study, and complete its configuration."""

from dataclasses import replace

from layermix.errors import InputError
from layermix.lab.data import DataConfig
from layermix.lab.data.split import geometry_batch
from layermix.lab.models import Factory
from layermix.lab.own_training import TrainFunction, function_name
from layermix.lab.run_setup import complete, find_points, fresh_model, load_once, model_name
from layermix.lab.study_config import Statistics, StudyConfig
from layermix.lab.training import Recipe
from layermix.lab.training.environment import pick_device
from layermix.lab.variants import check_variants

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
    looks = tuple(looks)
    seeds = _first_seeds(seeds, looks, margin)
    numbers = tuple(range(seeds))
    asked = StudyConfig(data, model, recipe, tuple(variants), numbers, threads, margin, looks)
    asked.check()
    pick_device(recipe.device)
    loaded = load_once(data, 0)
    complete(recipe, loaded)
    model = model_name(model, loaded)
    geometry_batch(loaded, "validation")
    all_points = find_points(fresh_model(model, loaded, 0, factory), loaded)
    chosen = check_variants(variants, all_points, recipe)
    if "auto" in chosen and recipe.adapt:
        geometry_batch(loaded, "training")
    return replace(asked, model=model, variants=chosen, all_points=all_points)


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
    looks = tuple(looks)
    seeds = _first_seeds(seeds, looks, margin)
    loaded = load_once(data, 0)
    first = "embedding" if loaded.modality.name == "text" else "input"
    chosen = tuple(variants) or ("none", first, "final")
    if "auto" in chosen:
        raise InputError(
            "the variant 'auto' measures the layers in the built-in training: leave out train, or "
            "use 'random'"
        )
    name, numbers = function_name(train), tuple(range(seeds))
    config = StudyConfig(
        data, name, Recipe(), chosen, numbers, margin=margin, looks=looks, train=name
    )
    config.check()
    return config


def _first_seeds(seeds: int, looks: tuple[int, ...], margin: float) -> int:
    """Check the statistical settings, and return the number of seeds of the first look."""
    Statistics(seeds, looks, margin).check()
    if looks and seeds not in (SEEDS, looks[0]):
        raise InputError(
            f"seeds is {seeds}, but looks are {list(looks)}, which set the number of seeds: leave "
            "out one of them"
        )
    return looks[0] if looks else seeds
