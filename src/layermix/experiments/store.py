"""Files of studies and runs: JSON and JSONL for people, safetensors for tensors, no pickles.

    STUDY/study.json                   the study's configuration
    STUDY/runs/VARIANT-seedK/
        config.json                    the run's configuration
        epochs.jsonl                   one record for each epoch
        result.json                    final measures
        weights.safetensors            final weights
        features.safetensors           activations before and after training (one run of a study)

A run is written as ``.NAME.PID`` and renamed when it is complete, so that a run folder that exists
is a finished run, whatever was killed. The files of a run that failed or was stopped remain as
``NAME-unfinished`` until the run is repeated.
"""

import json
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from layermix.errors import RunError
from layermix.experiments.data import DataConfig
from layermix.experiments.training import Recipe

Record = dict[str, Any]
_UNFINISHED = re.compile(r"^\.(?P<name>.+)\.(?P<pid>\d+)$")


@dataclass(frozen=True)
class RunConfig:
    """The settings that determine a run."""

    data: DataConfig
    model: str
    recipe: Recipe
    variant: str
    seed: int

    @property
    def name(self) -> str:
        """Name of the run and of its folder, without colons, which some systems do not allow."""
        return f"{self.variant.replace(':', ',')}-seed{self.seed}"


@dataclass(frozen=True)
class RunResult:
    """The results of a run.

    Attributes
    ----------
    test, val
        Measures of the test and the validation images (see `measures`).
    test_views
        Measures of the means over views of the test images, if the recipe asks for them.
    sizes
        Numbers of ``train``, ``val``, ``test`` and ``monitored`` images, and of ``classes``.
    classes
        Names of the classes.
    subset
        How the training images were chosen (see `Dataset`).
    timings
        ``seconds`` of training, ``geometry_seconds``, and training ``images_per_second``.
    records
        A record for each epoch, the first one before training.
    """

    test: dict[str, float]
    val: dict[str, float]
    test_views: dict[str, float] | None = None
    sizes: dict[str, int] = field(default_factory=dict)
    classes: list[str] = field(default_factory=list)
    subset: str = "all"
    timings: dict[str, float] = field(default_factory=dict)
    records: list[Record] = field(default_factory=list)


class RunFolder:
    """The folder of a run while it is written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.unfinished = path.with_name(f".{path.name}.{os.getpid()}")
        self.failed = path.with_name(f"{path.name}-unfinished")

    def __enter__(self) -> "RunFolder":
        remove_unfinished(self.path.parent, self.path.name)
        shutil.rmtree(self.unfinished, ignore_errors=True)
        self.unfinished.mkdir(parents=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        shutil.rmtree(self.failed, ignore_errors=True)
        if kind is not None:
            self.unfinished.rename(self.failed)
            return
        try:
            self.unfinished.rename(self.path)
        except OSError:  # another process finished the same run, with the same results
            if not self.path.exists():
                raise
            shutil.rmtree(self.unfinished, ignore_errors=True)

    def write_config(self, config: RunConfig) -> None:
        """Write ``config.json``."""
        write_json(self.unfinished / "config.json", asdict(config))

    def append(self, record: Record) -> None:
        """Add a line to ``epochs.jsonl``."""
        with (self.unfinished / "epochs.jsonl").open("a") as file:
            file.write(json.dumps(record) + "\n")

    def write_result(self, result: RunResult) -> None:
        """Write ``result.json``: everything but the records, which `append` wrote."""
        content = asdict(result)
        del content["records"]
        write_json(self.unfinished / "result.json", content)

    def write_tensors(self, name: str, tensors: dict[str, Tensor]) -> None:
        """Write tensors as ``NAME.safetensors``, each with memory of its own, from the CPU."""
        from safetensors.torch import save_file

        copies = {key: tensor.cpu().contiguous().clone() for key, tensor in tensors.items()}
        save_file(copies, self.unfinished / f"{name}.safetensors")


def read_result(run: Path) -> RunResult:
    """Read the result of a finished run from its folder."""
    path = run / "epochs.jsonl"
    try:
        records = [json.loads(line) for line in path.read_text().splitlines()]
    except (OSError, ValueError) as error:
        raise RunError(f"cannot read {path}: {error}") from error
    return RunResult(**read_json(run / "result.json"), records=records)


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file whole or not at all; numbers keep all their digits."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.write_text(json.dumps(content, indent=2) + "\n")
    unfinished.replace(path)


def read_json(path: Path) -> Any:
    """Read a JSON file."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise RunError(f"cannot read {path}: {error}") from error


def unfinished_runs(runs: Path) -> Iterator[tuple[str, Path]]:
    """Yield name and folder of the runs that are being written, or were when they were killed."""
    for path in sorted(runs.glob(".*")):
        if found := _UNFINISHED.match(path.name):
            yield found["name"], path


def remove_unfinished(runs: Path, name: str | None = None) -> None:
    """Remove the folders of killed runs, or of those of a name; those of living processes stay."""
    for found, path in unfinished_runs(runs):
        if name in (None, found) and not _is_alive(int(path.name.rpartition(".")[2])):
            shutil.rmtree(path, ignore_errors=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
