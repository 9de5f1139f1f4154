"""The configuration of a study, and its file `study.json`."""

import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from layermix.errors import InputError, RunError, brief
from layermix.hooks import Points
from layermix.lab.data import DataConfig
from layermix.lab.data.config import OWN_DATA
from layermix.lab.store import read_json, write_json
from layermix.lab.store.files import STAGED
from layermix.lab.store.records import MANY_SEEDS
from layermix.lab.training import Recipe
from layermix.lab.training.environment import check_threads
from layermix.lab.typed import check_types, require_range, validated
from layermix.lab.variants import require_distinct

FILE, LOCK, _FORMAT = "study.json", ".lock", 2
MIN_SEEDS = 6
"""With fewer seeds, no p-value of the sign-flip test is below 0.05."""
_NESTED = ("data", "recipe")
EXTENDED = ("variants", "seeds")
"""Settings to which values can be added."""


@dataclass(frozen=True)
class Statistics:
    """The number of seeds, the numbers of seeds at each planned look, and the margin in points."""

    seeds: int
    looks: tuple[int, ...]
    margin: float

    def check(self) -> None:
        """Raise an `InputError` if a setting is invalid."""
        check_types(self)
        looks = self.looks
        increasing = len(looks) > 1 and list(looks) == sorted(set(looks))
        if looks and not (increasing and looks[0] >= MIN_SEEDS):
            raise InputError(
                f"looks are {list(looks)}, but must be two or more increasing numbers of seeds "
                f"from {MIN_SEEDS} on, such as 10 20 30"
            )
        if not 0 < self.margin < 100:
            raise InputError(
                f"margin is {self.margin}, but must be a number of points above 0, such as 0.5"
            )
        require_range("seeds", self.seeds, 1, MANY_SEEDS)


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

    def check(self) -> None:
        """Raise an `InputError` if a setting is invalid."""
        check_types(_stored(self))
        Statistics(len(self.seeds), self.looks, self.margin).check()
        if min(self.seeds) < 0 or max(self.seeds) >= MANY_SEEDS:
            raise InputError(
                f"seeds are {brief(self.seeds)}, but must be from 0 to {MANY_SEEDS - 1:,}"
            )
        check_threads(self.threads)
        require_distinct("variant", self.variants)
        require_distinct("seed", self.seeds)
        self.data.check()
        self.recipe.check()
        for variant, settings in self.tuned.items():
            if variant not in self.variants or not settings.keys() <= vars(self.recipe).keys():
                raise InputError(f"tuned has {variant!r}: {settings}, which are no settings")
            replace(self.recipe, **settings).check()


@dataclass(frozen=True)
class Stage:
    """A study before seeds or variants were added, and its number of finished runs."""

    variants: tuple[str, ...]
    seeds: tuple[int, ...]
    runs: int


@dataclass(frozen=True)
class _StudyFile:
    format: int
    config: dict[str, Any]
    grown: tuple[Stage, ...] = ()


@dataclass(frozen=True)
class _StoredConfig(StudyConfig):
    """The settings as they are stored, without the mix points."""

    all_points: None = None  # pyright: ignore[reportIncompatibleVariableOverride]


def read_study(folder: Path) -> tuple[StudyConfig, tuple[Stage, ...]]:
    """Read the configuration of the study in a folder, and its earlier stages.

    A file that is missing, damaged or of another version raises a `RunError`.
    """
    path = folder / FILE
    found = read_json(path)
    version = found.get("format", 1) if isinstance(found, dict) and "config" in found else _FORMAT
    if version != _FORMAT:
        raise RunError(
            f"{path} has format {version}, but this version of layermix reads format {_FORMAT}: "
            "use the version that wrote it, or another --out"
        )
    file = validated(_StudyFile, found, path)
    stored = validated(_StoredConfig, file.config, path)
    config = StudyConfig(**{name: getattr(stored, name) for name in _names()})
    try:
        config.check()
        if not config.variants:
            raise InputError("variants are empty")
    except InputError as error:
        raise RunError(f"{path} is damaged: {error}. Restore or remove it") from error
    return config, file.grown


def _names() -> list[str]:
    return [name for name in StudyConfig.__dataclass_fields__ if name != "all_points"]


def _stored(config: StudyConfig) -> _StoredConfig:
    return _StoredConfig(**{name: getattr(config, name) for name in _names()})


def write_study(folder: Path, config: StudyConfig, grown: tuple[Stage, ...] = ()) -> None:
    """Write the configuration of a study into its folder."""
    content = {"format": _FORMAT, "config": as_json(config)}
    if grown:
        content["grown"] = [asdict(stage) for stage in grown]
    write_json(folder / FILE, content)


def as_json(config: StudyConfig) -> dict[str, Any]:
    """Return the settings of a study as a dict for JSON."""
    settings = asdict(replace(config, all_points=None))
    del settings["all_points"]
    return json.loads(json.dumps(settings))


def joined_config(
    known: StudyConfig, wanted: StudyConfig, trained: set[str], folder: Path
) -> StudyConfig:
    """Return the known study with the seeds and variants of another one with the same settings.

    A variant that is not wanted remains only if it is in `trained`: it may be misspelled. Other
    settings raise an `InputError`.
    """
    settings = [_fixed(config) for config in (known, wanted)]
    if other := difference(*settings):
        raise InputError(
            f"the output folder {folder} belongs to another study, with {other}: use another "
            "--out, or the same settings"
        )
    kept = [v for v in known.variants if v in trained or v in wanted.variants]
    return replace(
        wanted,
        variants=tuple(dict.fromkeys([*kept, *wanted.variants])),
        seeds=tuple(dict.fromkeys([*known.seeds, *wanted.seeds])),
    )


def _fixed(config: StudyConfig) -> dict[str, Any]:
    return {name: value for name, value in as_json(config).items() if name not in EXTENDED}


def difference(found: dict[str, Any], wanted: dict[str, Any]) -> str | None:
    """Return the first setting that differs, as text; None if all are equal."""
    has = flat(found)
    differ = ((k, v) for k, v in flat(wanted).items() if has.get(k) != v)
    return next((f"{k} = {_shown(has.get(k))} instead of {_shown(v)}" for k, v in differ), None)


def _shown(value: Any) -> str:
    """Return the value of a setting as in a command."""
    if value is None or value in ([], ()):
        return "none"
    return " ".join(map(str, value)) if isinstance(value, list | tuple) else repr(value)


def flat(settings: dict[str, Any]) -> dict[str, Any]:
    """Flatten nested settings to one dict, whose keys are their names on the command line."""
    levels = [v if name in _NESTED else {name: v} for name, v in settings.items()]
    pairs = (pair for level in levels for pair in level.items())
    return {name: list(v) if isinstance(v, tuple) else v for name, v in pairs}


def only_own_files(folder: Path) -> bool:
    """Return True if a folder without a study has no files but those that precede it.

    These are tuning, own data, and what remains of a process that ended before it wrote the study.
    """
    own = ("tuning", OWN_DATA, LOCK, STAGED)
    return all(path.name.startswith(own) for path in folder.iterdir())
