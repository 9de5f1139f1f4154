"""Check the settings of a study, and complete its configuration."""

from layermix.errors import InputError
from layermix.lab.data import DataConfig
from layermix.lab.data.split import geometry_batch
from layermix.lab.models import Factory
from layermix.lab.own_training import TrainFunction, function_name
from layermix.lab.run_setup import complete, find_points, fresh_model, load_once, model_name
from layermix.lab.study import MIN_SEEDS
from layermix.lab.study_config import StudyConfig
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
