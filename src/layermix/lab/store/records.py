"""The configuration and the results of a run, and the files in which they are stored.

config.json             the configuration of the run, with a complete recipe
epochs.jsonl            one record for each epoch
result.json             final measures, versions and hardware
logits.safetensors      float16 logits of validation and test data, and their labels
weights.safetensors     final weights
features.safetensors    activations before and after training (one run of a study)
log.txt                 when and where the run was trained, and its warnings
manifest.json           sizes and hashes of all files; see `layermix.lab.store.manifest`
"""

import functools
import re
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from layermix.errors import RunError, brief
from layermix.lab.data import DataConfig, Subset
from layermix.lab.store.files import json_bytes, json_digest, json_lines
from layermix.lab.store.manifest import (
    LOGITS,
    DamagedRun,
    checked_records,
    parsed_records,
    verified,
)
from layermix.lab.store.run_checks import EpochRecord, check_epochs, check_logits, check_result
from layermix.lab.training.recipe import Recipe
from layermix.lab.typed import check_types, parsed, require_range

Record = dict[str, Any]
MANY_SEEDS = 1_000_000
_LONGEST = 80  # characters of a variant in the name of a folder
_DIGITS = 10


@dataclass(frozen=True)
class RunConfig:
    """Settings that determine the results of a run."""

    data: DataConfig
    model: str
    recipe: Recipe
    variant: str
    seed: int
    train: str = ""  # name of a function that trains, instead of the recipe; see `own_training`

    def check(self) -> None:
        """Raise an `InputError` if a setting is invalid."""
        check_types(self)
        require_range("seed", self.seed, 0, MANY_SEEDS - 1)
        self.data.check()
        self.recipe.check()

    @property
    def name(self) -> str:
        """Name of the run in messages."""
        return f"{self.variant}-seed{self.seed}"

    @functools.cached_property
    def folder_name(self) -> str:
        """Name of the run's folder: variant and seed, and a hash of all settings.

        Settings with their default values do not change the hash. Characters of the variant that a
        file system may not allow are replaced.
        """
        slug = re.sub(r"[^\w.+@=,-]", "-", self.variant, flags=re.ASCII).lstrip(".")[:_LONGEST]
        settings = [_settings_digest(self.data, self.recipe), self.model, self.variant, self.seed]
        digest = json_digest([*settings, self.train])[:_DIGITS]
        return f"{slug}-seed{self.seed}-{digest}"


@functools.lru_cache
def _settings_digest(*several: Any) -> str:
    changed = [
        {f.name: value for f in fields(s) if (value := getattr(s, f.name)) != f.default}
        for s in several
    ]
    return json_digest(changed)


@dataclass(frozen=True)
class RunResult:
    """Results of a run; `val` and `test` are the output of `metrics.evaluate`."""

    __pydantic_config__ = {"arbitrary_types_allowed": True}  # noqa: RUF012
    test: dict[str, float]
    val: dict[str, float]
    # Metrics of "val" and "test" with norm statistics of unmixed data; None without batch norms.
    clean: dict[str, dict[str, float]] | None = None
    test_views: dict[str, float] | None = None  # `test` over views of the images, if enabled
    sizes: dict[str, int] = field(default_factory=dict)  # train, val, test, monitored; classes
    classes: list[str] = field(default_factory=list)  # names
    subset: Subset = "all"  # how the training examples were chosen (see `Dataset`)
    digests: dict[str, str] = field(default_factory=dict)  # hashes of train, val and test data
    conditions: dict[str, str] = field(default_factory=dict)  # versions and hardware
    warnings: list[str] = field(default_factory=list)  # texts, each once
    timings: dict[str, float] = field(default_factory=dict)  # seconds, examples_per_second, ...
    records: list[Record] = field(default_factory=list)  # one per epoch, first before training
    # Stored logits by name: "val.logits" (float16, minus the maximum of each row), "val.max" (these
    # maxima), "val.labels" and, with clean norm statistics, "val.clean" and "val.clean_max"; the
    # same for "test". Empty in a result that was read; see `read_logits`.
    logits: dict[str, Tensor] = field(default_factory=dict, repr=False, compare=False)


def run_files(
    config: RunConfig, result: RunResult, **tensors: dict[str, Tensor]
) -> dict[str, bytes]:
    """Return the files of a finished run by name; `tensors` are written as ``NAME.safetensors``."""
    content = asdict(replace(result, records=[], logits={}))
    del content["records"], content["logits"]
    files = {
        "config.json": json_bytes(asdict(config)),
        "epochs.jsonl": json_lines(result.records),
        "result.json": json_bytes(content),
    }
    tensors = {"logits": result.logits, **tensors}
    return files | {f"{name}.safetensors": tensor_bytes(each) for name, each in tensors.items()}


def tensor_bytes(tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> bytes:
    """Return tensors, copied to the CPU, in the format of safetensors."""
    from safetensors.torch import save

    # Copies, because safetensors refuses tensors that share memory.
    return save({k: t.detach().cpu().contiguous().clone() for k, t in tensors.items()}, metadata)


def require_settings(config: dict[str, Any], cell: RunConfig) -> None:
    """Raise a `DamagedRun` if the configuration of a run has other settings than `cell`.

    Settings of the recipe that `cell` leaves to the data may have any value. A setting that the
    version of the run did not have has its default value.
    """
    for name in ("variant", "seed", "model", "train"):
        _require_equal(name, config.get(name, ""), getattr(cell, name))
    for part in ("data", "recipe"):
        settings = getattr(cell, part)
        for each in fields(settings):
            if (wanted := getattr(settings, each.name)) not in (None, "auto"):
                found = config[part].get(each.name, each.default)
                found = tuple(found) if isinstance(found, list) else found
                _require_equal(f"{part}.{each.name}", found, wanted)


def _require_equal(name: str, found: Any, wanted: Any) -> None:
    if found != wanted:
        raise DamagedRun(f"it has {name} = {found!r} instead of {wanted!r}")


def read_result(run: Path) -> RunResult:
    """Read the result of a finished run from its folder; a damaged run raises a `DamagedRun`."""
    return read_run(run)[1]


def read_run(run: Path) -> tuple[dict[str, Any], RunResult]:
    """Read the configuration and the result of a finished run; see `read_result`."""
    return parsed_run(checked_records(run))


def parsed_run(files: dict[str, bytes]) -> tuple[dict[str, Any], RunResult]:
    """Return the configuration and the result of a run from the contents of its files.

    Values of a wrong type, out of their range, or that contradict the stored logits, raise a
    `DamagedRun`.
    """
    config, records, _ = parsed_records(files)
    try:
        settings = parsed(RunConfig, files["config.json"], "config.json")
        epochs = parsed(list[EpochRecord], files["epochs.jsonl"], "epochs.jsonl", lines=True)
        result = parsed(RunResult, files["result.json"], "result.json")
    except RunError as error:
        raise DamagedRun(str(error).removesuffix(". Restore or remove it")) from error
    check_result(result, is_own=bool(settings.train))
    if not settings.train:
        check_epochs(epochs, settings.recipe.epochs)
    if LOGITS in files:
        check_logits(_tensors(files[LOGITS], LOGITS), result)
    return config, replace(result, records=records)


def read_logits(run: Path) -> dict[str, Tensor]:
    """Read the stored logits of a run; empty if there are none."""
    return read_tensors(run, LOGITS)


def read_tensors(run: Path, name: str) -> dict[str, Tensor]:
    """Read a file of tensors of a run, whose hash is checked; empty if the run has none."""
    try:
        files = verified(run, (name,), optional=True)
        return _tensors(files[name], name) if name in files else {}
    except DamagedRun as error:
        raise DamagedRun(
            f"the run {run} is damaged: {error}. Train it again, after "
            "`layermix runs STUDY --verify` has set it aside"
        ) from error


def _tensors(content: bytes, name: str) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        return load(content)
    except (SafetensorError, ValueError, OverflowError) as error:
        raise DamagedRun(f"{name} is no file of tensors: {brief(error)}") from error
