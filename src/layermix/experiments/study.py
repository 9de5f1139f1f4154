"""The study: variants x seeds, each cell one run, all in one folder.

An interrupted study continues with the runs that are missing. A folder of another study is refused.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from layermix.errors import InputError, RunError
from layermix.experiments import store
from layermix.experiments.data import DataConfig
from layermix.experiments.store import RunConfig, RunResult
from layermix.experiments.training import Recipe
from layermix.hooks import Points


@dataclass(frozen=True)
class StudyConfig:
    """The settings that determine the results of a study; `configure` completes and checks them."""

    data: DataConfig
    model: str
    recipe: Recipe
    variants: tuple[str, ...]  # see `layermix.experiments.variants`
    seeds: tuple[int, ...]  # the same for every variant
    threads: int = 1  # CPU threads of each run
    # All mix points of the model, if they are known. They are no setting.
    all_points: Points | None = field(default=None, compare=False, repr=False)


class Study:
    """A study and its folder, which is new, empty, or of the same study."""

    def __init__(self, config: StudyConfig, folder: Path) -> None:
        self.config, self.folder, self.runs = config, folder, folder / "runs"
        path, settings = folder / "study.json", as_json(config)
        if path.exists():
            if other := _difference(store.read_json(path)["config"], settings):
                raise InputError(
                    f"the output folder {folder} belongs to another study, with {other}: name "
                    "another --out, or repeat its settings"
                )
        elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise InputError(
                f"the output folder {folder} is not empty and holds no study: name another --out"
            )
        else:
            folder.mkdir(parents=True, exist_ok=True)
            store.write_json(path, {"config": settings})
        self.runs.mkdir(exist_ok=True)

    @classmethod
    def open(cls, folder: Path) -> "Study":
        """Open the study of a folder."""
        path = folder / "study.json"
        if not path.exists():
            is_run = (folder / "result.json").exists()
            hint = "it is the folder of one run; a study's" if is_run else "a study's"
            raise InputError(f"there is no study in {folder}: {hint} folder holds study.json")
        config = store.read_json(path)["config"]
        config |= {"data": DataConfig(**config["data"]), "recipe": Recipe(**config["recipe"])}
        config |= {name: tuple(config[name]) for name in ("variants", "seeds")}
        return cls(StudyConfig(**config), folder)

    def cells(self) -> Iterator[RunConfig]:
        """Yield the configuration of each run, seed by seed, so that all variants advance."""
        config = self.config
        for seed in config.seeds:
            for variant in config.variants:
                yield RunConfig(config.data, config.model, config.recipe, variant, seed)

    def path(self, cell: RunConfig) -> Path:
        """Return the folder of a run, which exists if the run is finished."""
        return self.runs / cell.name

    def finished(self) -> list[RunConfig]:
        """Return the configurations of the finished runs."""
        return [cell for cell in self.cells() if self.path(cell).exists()]

    def missing(self) -> list[RunConfig]:
        """Return the runs that are not finished, and remove the files of killed ones."""
        store.remove_unfinished(self.runs)
        return [cell for cell in self.cells() if not self.path(cell).exists()]

    def results(self) -> dict[RunConfig, RunResult]:
        """Read the results of the finished runs.

        Raises
        ------
        RunError
            If a run belongs to another study, or the data changed between two runs.
        """
        found = {cell: store.read_result(self.path(cell)) for cell in self.finished()}
        for cell, result in found.items():
            self._require_own(cell)
            self.require_sizes(cell.name, result.sizes, next(iter(found.values())).sizes)
        return found

    def require_sizes(self, name: str, sizes: dict[str, int], usual: dict[str, int]) -> None:
        """Raise a `RunError` if data of other sizes than the `usual` ones are used by a run."""
        if changed := {k: v for k, v in sizes.items() if v != usual[k]}:
            kind, size = next(iter(changed.items()))
            raise RunError(
                f"the data of the study in {self.folder} changed: {name} has {kind} = {size} "
                f"instead of {usual[kind]}. Start a new study with another --out"
            )

    def failed(self) -> list[RunConfig]:
        """Return the runs that failed or were stopped, and have not finished since."""
        return [
            cell
            for cell in self.cells()
            if store.unfinished_path(self.path(cell)).exists() and not self.path(cell).exists()
        ]

    def keeps_features(self, cell: RunConfig) -> bool:
        """Return True if a run keeps its activations: the first variant at the first seed."""
        return (cell.variant, cell.seed) == (self.config.variants[0], self.config.seeds[0])

    def _require_own(self, cell: RunConfig) -> None:
        """Raise an error unless the configuration of a finished run is that of its cell."""
        path = self.path(cell) / "config.json"
        wanted = {name: value for name, value in flat(asdict(cell)).items() if value != "auto"}
        if other := _difference(store.read_json(path), wanted):
            raise RunError(
                f"{path} belongs to another study, with {other}: remove its folder, and start the "
                "study's command again"
            )


def as_json(config: StudyConfig) -> dict[str, Any]:
    """Return the settings of a study for JSON."""
    settings = asdict(replace(config, all_points=None))
    del settings["all_points"]
    return {k: list(v) if isinstance(v, tuple) else v for k, v in settings.items()}


def _difference(found: dict[str, Any], wanted: dict[str, Any]) -> str | None:
    """Return the first setting that differs as text."""
    has = flat(found)
    differ = ((k, v) for k, v in flat(wanted).items() if has.get(k) != v)
    return next((f"{k} = {has.get(k)!r} instead of {v!r}" for k, v in differ), None)


def flat(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of all levels in one dict, by their names on the command line."""
    levels = [v if isinstance(v, dict) else {name: v} for name, v in settings.items()]
    return {name: value for level in levels for name, value in level.items()}
