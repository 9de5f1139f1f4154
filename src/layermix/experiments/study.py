"""The study: variants x seeds, each cell one run, all in one folder.

A study that was interrupted continues with the runs that are missing; a folder that belongs to
another study is refused.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from layermix.errors import InputError
from layermix.experiments.conditions import conditions
from layermix.experiments.data import DataConfig, adapt_batch, watch_batch
from layermix.experiments.run import RunConfig, complete, fresh_net, load_once, mix_points_of
from layermix.experiments.store import read_json, remove_unfinished, write_json
from layermix.experiments.training.recipe import Recipe, pick_device
from layermix.experiments.variants import check_variants


@dataclass(frozen=True)
class StudyConfig:
    """Everything that determines a study's results.

    Attributes
    ----------
    data, net, recipe
        What to train, and how.
    variants
        What to compare, each a name that `mix_points` understands.
    seeds
        The seeds that every variant is trained with.
    threads
        CPU threads of each run.
    """

    data: DataConfig
    net: str
    recipe: Recipe
    variants: tuple[str, ...]
    seeds: tuple[int, ...]
    threads: int = 1


class Study:
    """A study and its folder.

    Parameters
    ----------
    config
        What to compare; the variants must be complete (see `plan`).
    folder
        Where everything is written: new, empty, or of the same study.

    Raises
    ------
    InputError
        When the folder belongs to another study, or holds something else.
    """

    def __init__(self, config: StudyConfig, folder: Path) -> None:
        self.config, self.folder = config, folder
        path = folder / "study.json"
        wanted = as_json(config)
        if path.exists():
            self._require_same(read_json(path)["config"], wanted)
        elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise InputError(
                f"the output folder {folder} is not empty and holds no study: name another --out"
            )
        else:
            folder.mkdir(parents=True, exist_ok=True)
            write_json(path, {"config": wanted, "conditions": conditions(config.recipe.device)})
        self.runs.mkdir(exist_ok=True)

    @classmethod
    def open(cls, folder: Path) -> "Study":
        """Open the study that lies in a folder."""
        path = folder / "study.json"
        if not path.exists():
            one = (folder / "result.json").exists()
            hint = "it is the folder of one run; a study's" if one else "a study's"
            raise InputError(f"there is no study in {folder}: {hint} folder holds study.json")
        return cls(_from_json(read_json(path)["config"]), folder)

    @property
    def runs(self) -> Path:
        """The folder of the runs."""
        return self.folder / "runs"

    @property
    def conditions(self) -> dict[str, str]:
        """Versions and hardware of the machine that began the study."""
        return read_json(self.folder / "study.json")["conditions"]

    def cells(self) -> Iterator[RunConfig]:
        """Yield the configuration of every run, seed by seed, so that all variants fill evenly."""
        config = self.config
        for seed in config.seeds:
            for variant in config.variants:
                yield RunConfig(config.data, config.net, config.recipe, variant, seed)

    def path(self, cell: RunConfig) -> Path:
        """Return the folder of a run; it exists when the run is finished."""
        return self.runs / cell.name

    def finished(self) -> list[RunConfig]:
        """Return the runs that are finished."""
        return [cell for cell in self.cells() if self.path(cell).exists()]

    def missing(self) -> list[RunConfig]:
        """Return the runs that are not finished, after removing what killed ones left."""
        remove_unfinished(self.runs)
        return [cell for cell in self.cells() if not self.path(cell).exists()]

    def keeps_features(self, cell: RunConfig) -> bool:
        """Tell whether a run keeps its activations: the first seed of the first variant does."""
        return (cell.variant, cell.seed) == (self.config.variants[0], self.config.seeds[0])

    def _require_same(self, found: dict, wanted: dict) -> None:
        for name, value in flat(wanted).items():
            other = flat(found).get(name)
            if other != value:
                raise InputError(
                    f"the output folder {self.folder} belongs to another study: its {name} is "
                    f"{other!r}, here it is {value!r}. Name another --out, or repeat its settings"
                )


def plan(
    data: DataConfig,
    net: str,
    recipe: Recipe,
    variants: tuple[str, ...] = (),
    seeds: int = 8,
    threads: int = 1,
) -> StudyConfig:
    """Complete a study's configuration, and refuse what could not be trained.

    Loads the data and builds the net once, so that a mistake shows before the first run.

    Parameters
    ----------
    data, net, recipe
        What to train, and how.
    variants
        What to compare; none, input, each block, final, random and auto when empty.
    seeds
        Number of seeds, counted from 0.
    threads
        CPU threads of each run.
    """
    for name, value in (("seeds", seeds), ("threads", threads)):
        if value < 1:
            raise InputError(f"{name} is {value}, but must be 1 or more")
    pick_device(recipe.device)
    loaded = load_once(data)
    complete(recipe, data, loaded)
    watch_batch(loaded)
    points = mix_points_of(fresh_net(net, loaded, seed=0), loaded)
    chosen = check_variants(variants, points, recipe)
    if "auto" in chosen and recipe.adapt:
        adapt_batch(loaded)
    return StudyConfig(data, net, recipe, chosen, tuple(range(seeds)), threads)


def as_json(config: StudyConfig) -> dict[str, Any]:
    """Return a configuration as JSON has it: dicts, lists, numbers and strings."""
    return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(config).items()}


def _from_json(found: dict[str, Any]) -> StudyConfig:
    parts = {"data": DataConfig(**found["data"]), "recipe": Recipe(**found["recipe"])}
    lists = {name: tuple(found[name]) for name in ("variants", "seeds")}
    return StudyConfig(**{**found, **parts, **lists})


def flat(config: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of all levels, by the names they have on the command line."""
    settings = {}
    for name, value in config.items():
        settings |= value if isinstance(value, dict) else {name: value}
    return settings
