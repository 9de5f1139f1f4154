"""Files of studies and runs: JSON, JSONL, and safetensors for tensors; no pickles.

    STUDY/study.json                   the study's configuration
    STUDY/runs/VARIANT-seedK/
        config.json                    the run's configuration
        epochs.jsonl                   one record for each epoch
        result.json                    final measures, versions and hardware
        logits.safetensors             float16 logits of validation and test data, and their labels
        weights.safetensors            final weights
        features.safetensors           activations before and after training (one run of a study)

A run is written to ``.NAME.PID``, which is renamed to ``NAME`` when the run is complete. So every
run folder is a finished run, even if processes were killed. The files of a run that failed or was
stopped remain in ``NAME-unfinished`` until the run is repeated.
"""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from layermix.errors import RunError
from layermix.lab.data import DataConfig
from layermix.lab.training import Recipe

Record = dict[str, Any]


@dataclass(frozen=True)
class RunConfig:
    """Settings that determine the results of a run."""

    data: DataConfig
    model: str
    recipe: Recipe
    variant: str
    seed: int
    train: str = ""  # name of a function that trains, instead of the recipe; see `own_training`

    @property
    def name(self) -> str:
        """Name of the run and its folder, without colons, because some systems forbid them."""
        return f"{self.variant.replace(':', ',')}-seed{self.seed}"


@dataclass(frozen=True)
class RunResult:
    """Results of a run; `val` and `test` are the output of `metrics.evaluate`."""

    test: dict[str, float]
    val: dict[str, float]
    # Metrics of "val" and "test" with norm statistics of unmixed data; None without batch norms.
    clean: dict[str, dict[str, float]] | None = None
    test_views: dict[str, float] | None = None  # `test` over views of the images, if enabled
    sizes: dict[str, int] = field(default_factory=dict)  # train, val, test, monitored; classes
    classes: list[str] = field(default_factory=list)  # names
    subset: str = "all"  # how the training examples were chosen (see `Dataset`)
    digests: dict[str, str] = field(default_factory=dict)  # hashes of train, val and test data
    conditions: dict[str, str] = field(default_factory=dict)  # versions and hardware
    warnings: list[str] = field(default_factory=list)  # texts, each once
    timings: dict[str, float] = field(default_factory=dict)  # seconds, examples_per_second, ...
    records: list[Record] = field(default_factory=list)  # one per epoch, first before training
    # Stored logits by name: "val.logits" (float16, minus the maximum of each row), "val.max" (these
    # maxima), "val.labels" and, with clean norm statistics, "val.clean" and "val.clean_max"; the
    # same for "test". Empty in a result that was read; see `read_logits`.
    logits: dict[str, Tensor] = field(default_factory=dict, repr=False, compare=False)


def unfinished_path(path: Path) -> Path:
    """Return the path to which the folder of a failed or stopped run is renamed."""
    return path.with_name(f"{path.name}-unfinished")


@contextmanager
def new_run(path: Path) -> Iterator[Path]:
    """Yield a temporary folder; rename it to `path`, or on an error to ``PATH-unfinished``."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    failed = unfinished_path(path)
    remove_unfinished(path.parent, path.name)
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    try:
        yield unfinished
    except BaseException as error:
        shutil.rmtree(failed, ignore_errors=True)
        unfinished.rename(failed)
        if isinstance(error, RunError):
            raise RunError(f"{error}. Its records are in {failed}") from error
        raise
    shutil.rmtree(failed, ignore_errors=True)
    try:
        unfinished.rename(path)
    except OSError:  # another process finished the same run, with the same results
        if not path.exists():
            raise
        shutil.rmtree(unfinished, ignore_errors=True)


def write_tensors(path: Path, tensors: dict[str, Tensor]) -> None:
    """Copy tensors to the CPU, and write them as safetensors."""
    from safetensors.torch import save_file

    save_file({key: tensor.cpu().contiguous().clone() for key, tensor in tensors.items()}, path)


def read_result(run: Path) -> RunResult:
    """Read the result of a finished run from its folder."""
    records, content = read_json(run / "epochs.jsonl", lines=True), read_json(run / "result.json")
    timings = content["timings"]
    if "images_per_second" in timings:  # written by an earlier version
        timings["examples_per_second"] = timings.pop("images_per_second")
    return RunResult(**content, records=records)


def read_logits(run: Path) -> dict[str, Tensor]:
    """Read the stored logits of a run; empty if there are none."""
    from safetensors.torch import load_file

    path = run / "logits.safetensors"
    return load_file(path) if path.exists() else {}


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file atomically; numbers keep all their digits."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.write_text(json.dumps(content, indent=2) + "\n")
    unfinished.replace(path)


def read_json(path: Path, *, lines: bool = False) -> Any:
    """Read a JSON file; if `lines` is True, read a JSONL file as a list."""
    try:
        text = path.read_text()
        return [json.loads(line) for line in text.splitlines()] if lines else json.loads(text)
    except (OSError, ValueError) as error:
        raise RunError(f"cannot read {path}: {error}") from error


def unfinished_runs(runs: Path) -> Iterator[tuple[str, Path]]:
    """Yield the name and folder of each run that is in progress or was killed."""
    for path in sorted(runs.glob(".*.*")):
        name, _, pid = path.name[1:].rpartition(".")
        if pid.isdigit():
            yield name, path


def remove_unfinished(runs: Path, name: str | None = None) -> None:
    """Remove the folders of killed runs: all of them, or only those of the run `name`."""
    for found, path in unfinished_runs(runs):
        if name in (None, found) and not _is_alive(int(path.suffix[1:])):
            shutil.rmtree(path, ignore_errors=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError as error:
        return isinstance(error, PermissionError)
    return True
