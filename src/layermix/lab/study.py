"""The study: one run for each variant and seed, all in one folder. A cell configures one run.

An interrupted study continues with its missing runs. Seeds and variants can be added to a study, in
the same folder. A folder of another study raises an error.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from layermix.errors import InputError, RunError
from layermix.hooks import Points
from layermix.lab import store
from layermix.lab.data import DataConfig, Dataset
from layermix.lab.data.config import OWN_DATA
from layermix.lab.store import RunConfig, RunResult
from layermix.lab.training import Recipe


@dataclass(frozen=True)
class StudyConfig:
    """Settings that determine the results of a study; `configure` completes and checks them."""

    data: DataConfig
    model: str
    recipe: Recipe
    variants: tuple[str, ...]  # see `layermix.lab.variants`
    seeds: tuple[int, ...]  # the same for every variant
    threads: int = 1  # CPU threads of each run
    margin: float = 0.5  # differences within ± margin, in points, are practically equal
    looks: tuple[int, ...] = ()  # seeds at each planned look at the results; empty for one look
    tune: tuple[str, ...] = ()  # what was tuned, such as ``alpha=1,2`` (see `tuning`)
    # Settings of the recipe that were chosen by tuning, by variant.
    tuned: dict[str, dict[str, Any]] = field(default_factory=dict)
    train: str = ""  # name of a function that trains, instead of the recipe; see `own_training`
    # All mix points of the model, or None. They are cached here, and are not a setting.
    all_points: Points | None = field(default=None, compare=False, repr=False)


MIN_SEEDS = 6
"""With fewer seeds, no p-value of the sign-flip test is below 0.05."""

_OF_OPTIMIZER = {"lr": 0.1, "weight_decay": 2e-3}  # defaults before there were several optimizers

_EXTENDED = ("variants", "seeds")  # settings to which values can be added
# Values of settings that did not exist when a study was begun.
_DEFAULTS = asdict(DataConfig(fixed_split=True)) | asdict(Recipe()) | {"train": ""}
_ADDED = {"margin": 0.5, "looks": [], "tune": [], "tuned": {}, "train": ""}
_SIZES = ("train", "val", "test", "classes")  # equal for all splits of the same data


class StudyFolder:
    """A study and its folder. The folder must be new, be empty, or belong to the same study."""

    def __init__(self, config: StudyConfig, folder: Path) -> None:
        self.config, self.folder, self.runs = config, folder, folder / "runs"
        self.grown: list[dict[str, Any]] = []  # stages with finished runs, before it was extended
        path, settings = folder / "study.json", as_json(config)
        if path.exists():
            self._continue(store.read_json(path), settings)
        elif folder.exists() and (not folder.is_dir() or _strangers(folder)):
            raise InputError(
                f"the output folder {folder} is not empty and has no study.json: use another --out"
            )
        else:
            folder.mkdir(parents=True, exist_ok=True)
            store.write_json(path, {"config": settings})
        self.runs.mkdir(exist_ok=True)

    def _continue(self, found: dict[str, Any], settings: dict[str, Any]) -> None:
        """Continue the study in the folder, with its seeds and variants and those of `settings`."""
        former, self.grown = _ADDED | _upgraded(found["config"]), found.get("grown", [])
        wanted = {name: value for name, value in settings.items() if name not in _EXTENDED}
        if other := _difference(former, wanted):
            raise InputError(
                f"the output folder {self.folder} belongs to another study, with {other}: use "
                "another --out, or the same settings"
            )
        self.config = replace(self.config, **{name: tuple(former[name]) for name in _EXTENDED})
        # A variant without a finished run stays only if it is asked for: it may be misspelled.
        trained = {cell.variant for cell in self.finished()}
        known = [v for v in former["variants"] if v in trained or v in settings["variants"]]
        kept = {"variants": known, "seeds": former["seeds"]}
        merged = {n: list(dict.fromkeys([*kept[n], *settings[n]])) for n in _EXTENDED}
        if all(merged[name] == former[name] for name in _EXTENDED):
            return
        if done := len(self.finished()):
            stage = {name: former[name] for name in _EXTENDED}
            self.grown = [*self.grown, {**stage, "runs": done}]
        self.config = replace(self.config, **{n: tuple(values) for n, values in merged.items()})
        store.write_json(
            self.folder / "study.json", {"config": former | merged, "grown": self.grown}
        )

    @classmethod
    def open(cls, folder: Path) -> "StudyFolder":
        """Open the study in a folder."""
        path = folder / "study.json"
        if not path.exists():
            is_run = (folder / "result.json").exists()
            hint = "it is the folder of one run. A study's" if is_run else "a study's"
            if inner := sorted(each.parent.name for each in folder.glob("*/study.json")):
                names = ", ".join(inner)
                raise InputError(f"{folder} has a study for each level of a factor: name {names}")
            raise InputError(f"there is no study in {folder}: {hint} folder has a study.json")
        config = _upgraded(store.read_json(path)["config"])
        data = DataConfig(**{"fixed_split": True, **config["data"]})
        config |= {"data": data, "recipe": Recipe(**config["recipe"])}
        names = ("variants", "seeds", "looks", "tune")
        config |= {name: tuple(config.get(name, ())) for name in names}
        return cls(StudyConfig(**config), folder)

    def cells(self) -> Iterator[RunConfig]:
        """Yield the configuration of each run: all variants with one seed, then with the next."""
        config = self.config
        for seed in config.seeds:
            for variant in config.variants:
                recipe = replace(config.recipe, **config.tuned.get(variant, {}))
                yield RunConfig(config.data, config.model, recipe, variant, seed, config.train)

    def path(self, cell: RunConfig) -> Path:
        """Return the folder of a run, which exists only if the run is finished."""
        return self.runs / cell.name

    def finished(self) -> list[RunConfig]:
        """Return the configurations of the finished runs."""
        return [cell for cell in self.cells() if self.path(cell).exists()]

    def missing(self) -> list[RunConfig]:
        """Return the configurations of unfinished runs; remove the files of killed runs."""
        store.remove_unfinished(self.runs)
        return [cell for cell in self.cells() if not self.path(cell).exists()]

    def run_results(self) -> dict[RunConfig, RunResult]:
        """Read the results of all finished runs.

        Raises
        ------
        RunError
            If a run belongs to another study, or the data changed between runs.
        """
        found = {cell: store.read_result(self.path(cell)) for cell in self.finished()}
        same_seed: dict[int, RunResult] = {}
        for cell, result in found.items():
            self._require_own(cell)
            self._require_sizes(cell.name, result.sizes, next(iter(found.values())).sizes)
            usual = same_seed.setdefault(cell.seed, result).digests
            self._require_digests(cell.name, result.digests, usual)
        return found

    def require_data(self, data: Dataset, seed: int) -> None:
        """Raise a `RunError` if the data of a seed are not those of the finished runs."""
        cells = self.finished()
        for cell in [cell for cell in cells if cell.seed == seed] or cells[:1]:
            known = store.read_result(self.path(cell))
            self._require_sizes("a new run", data.sizes, known.sizes)
            if cell.seed == seed:
                self._require_digests("a new run", data.digests, known.digests)

    def _require_digests(self, name: str, digests: dict[str, str], usual: dict[str, str]) -> None:
        if changed := [part for part in digests if digests[part] != usual.get(part)]:
            raise RunError(
                f"the data of the study in {self.folder} changed: {name} has other {changed[0]} "
                "data than the runs of the same seed. Start a new study with another --out"
            )

    def _require_sizes(self, name: str, sizes: dict[str, int], usual: dict[str, int]) -> None:
        if changed := {k: v for k, v in sizes.items() if k in _SIZES and v != usual[k]}:
            kind, size = next(iter(changed.items()))
            raise RunError(
                f"the data of the study in {self.folder} changed: {name} has {kind} = {size} "
                f"instead of {usual[kind]}. Start a new study with another --out"
            )

    def failed(self) -> list[RunConfig]:
        """Return the configurations of runs that failed or were stopped, and are not finished."""
        return [
            cell
            for cell in self.cells()
            if store.unfinished_path(self.path(cell)).exists() and not self.path(cell).exists()
        ]

    def keeps_features(self, cell: RunConfig) -> bool:
        """Return True for the run that saves activations: the first variant with the first seed."""
        return (cell.variant, cell.seed) == (self.config.variants[0], self.config.seeds[0])

    def _require_own(self, cell: RunConfig) -> None:
        """Raise a `RunError` if the folder of a run has the configuration of another run."""
        path = self.path(cell) / "config.json"
        wanted = {name: value for name, value in flat(asdict(cell)).items() if value != "auto"}
        wanted = {k: v for k, v in wanted.items() if v is not None or k not in _OF_OPTIMIZER}
        if other := _difference(store.read_json(path), wanted):
            raise RunError(
                f"{path} belongs to another study, with {other}: remove its folder, and repeat the "
                "command of the study"
            )


def as_json(config: StudyConfig) -> dict[str, Any]:
    """Return the settings of a study as a dict for JSON."""
    settings = asdict(replace(config, all_points=None))
    del settings["all_points"]
    return json.loads(json.dumps(settings))


def _upgraded(config: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of a study, converted if an earlier version has written them."""
    recipe = config["recipe"]
    if "optimizer" in recipe:
        return config
    unset = {name: None for name, value in _OF_OPTIMIZER.items() if recipe.get(name) == value}
    return config | {"recipe": recipe | unset}


def _strangers(folder: Path) -> bool:
    """Return True if a folder has files that are not those of tuning or of its own data."""
    own = ("tuning", OWN_DATA)
    return any(not path.name.startswith(own) for path in folder.iterdir())


def _difference(found: dict[str, Any], wanted: dict[str, Any]) -> str | None:
    """Return the first setting that differs, as text; None if all are equal."""
    # Settings that an earlier version did not have have their defaults.
    has = flat(_DEFAULTS) | flat(found)
    differ = ((k, v) for k, v in flat(wanted).items() if has.get(k) != v)
    return next((f"{k} = {_shown(has.get(k))} instead of {_shown(v)}" for k, v in differ), None)


def _shown(value: Any) -> str:
    """Return the value of a setting as in a command."""
    if value is None or value in ([], ()):
        return "none"
    return " ".join(map(str, value)) if isinstance(value, list | tuple) else repr(value)


def flat(settings: dict[str, Any]) -> dict[str, Any]:
    """Flatten nested settings to one dict, whose keys are their names on the command line."""
    levels = [v if isinstance(v, dict) else {name: v} for name, v in settings.items()]
    pairs = (pair for level in levels for pair in level.items())
    return {name: list(v) if isinstance(v, tuple) else v for name, v in pairs}
