"""What lies on disk: one folder for each run, JSON and JSONL as the truth.

    STUDY/study.json                   the study's configuration
    STUDY/runs/VARIANT-seedK/
        config.json                    the run's configuration
        epochs.jsonl                   one record for each epoch
        result.json                    final measures
        weights.safetensors            final weights
        features.safetensors           activations before and after training (one run of a study)

A run is written as ``.NAME.PID`` and renamed when it is complete: a run folder that exists is a
finished run, whatever was killed. What a run that failed or was stopped had written stays as
``NAME-unfinished`` until the run is repeated.
"""

import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor, nn

from layermix.errors import RunError

_UNFINISHED = re.compile(r"^\.(?P<name>.+)\.(?P<pid>\d+)$")


class RunFolder:
    """The folder of a run while it is written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.unfinished = path.with_name(f".{path.name}.{os.getpid()}")
        self.left = path.with_name(f"{path.name}-unfinished")  # when it fails

    def __enter__(self) -> "RunFolder":
        remove_unfinished(self.path.parent, self.path.name)
        shutil.rmtree(self.unfinished, ignore_errors=True)
        self.unfinished.mkdir(parents=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        shutil.rmtree(self.left, ignore_errors=True)
        if kind is not None:
            self.unfinished.rename(self.left)
            return
        try:
            self.unfinished.rename(self.path)
        except OSError:  # another process finished the same run meanwhile: both are the same
            if not self.path.exists():
                raise
            shutil.rmtree(self.unfinished, ignore_errors=True)

    def write_json(self, name: str, content: Any) -> None:
        """Write a JSON file."""
        write_json(self.unfinished / name, content)

    def append(self, record: Any) -> None:
        """Add a line to ``epochs.jsonl``."""
        with (self.unfinished / "epochs.jsonl").open("a") as file:
            file.write(json.dumps(record) + "\n")

    def write_weights(self, model: nn.Module) -> None:
        """Write the weights as ``weights.safetensors``, contiguous, on the CPU."""
        state = model.state_dict()
        self.write_tensors("weights", {name: tensor.cpu() for name, tensor in state.items()})

    def write_tensors(self, name: str, tensors: dict[str, Tensor]) -> None:
        """Write tensors as ``NAME.safetensors``; those that share memory are written apart."""
        own = {key: tensor.contiguous().clone() for key, tensor in tensors.items()}
        save_file(own, self.unfinished / f"{name}.safetensors")


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


def read_epochs(run: Path) -> list[dict[str, Any]]:
    """Read the records of a run's epochs."""
    try:
        return [json.loads(line) for line in (run / "epochs.jsonl").read_text().splitlines()]
    except (OSError, ValueError) as error:
        raise RunError(f"cannot read {run / 'epochs.jsonl'}: {error}") from error


def unfinished_runs(runs: Path) -> Iterator[tuple[str, Path]]:
    """Yield name and folder of the runs that are being written, or were when they were killed."""
    for path in sorted(runs.glob(".*")):
        if found := _UNFINISHED.match(path.name):
            yield found["name"], path


def remove_unfinished(runs: Path, name: str | None = None) -> None:
    """Remove what killed runs (those of a name) left; folders of living processes stay."""
    for found, path in unfinished_runs(runs):
        pid = int(path.name.rpartition(".")[2])
        if name in (None, found) and not _alive(pid):
            shutil.rmtree(path, ignore_errors=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
