"""Finished runs on disk: find, write and change them, with a valid manifest."""

import json
from pathlib import Path
from typing import Any

from torch import Tensor

from layermix.lab.store import RunConfig, RunResult, RunWriter, read_manifest, run_files
from layermix.lab.store.manifest import MANIFEST, manifest_bytes


def run_folder(study: Path, name: str) -> Path:
    """Return the folder of a finished run, such as ``none-seed0``."""
    found = [p for p in (study / "runs").glob(f"{name}-*") if not p.name.endswith("unfinished")]
    (path,) = [path for path in found if "-corrupt" not in path.name]
    return path


def write_run(
    path: Path, config: RunConfig, result: RunResult, **tensors: dict[str, Tensor]
) -> None:
    """Write a finished run as a study does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = RunWriter.claim(path)
    assert writer
    writer.begin("test", 0)
    writer.commit(run_files(config, result, **tensors))


def edit_run(run: Path, name: str, **changes: Any) -> None:
    """Change a JSON file of a run, and write the manifest that belongs to it."""
    listed = read_manifest(run)
    content = json.loads((run / name).read_text()) | changes
    (run / name).write_text(json.dumps(content))
    files = {each: (run / each).read_bytes() for each in listed["files"]}
    (run / MANIFEST).write_bytes(manifest_bytes(run.name, files, listed["attempts"]))


def remove_file(run: Path, name: str) -> None:
    """Remove a file of a run, as if it had never been written."""
    listed = read_manifest(run)
    files = {each: (run / each).read_bytes() for each in listed["files"] if each != name}
    (run / name).unlink()
    (run / MANIFEST).write_bytes(manifest_bytes(run.name, files, listed["attempts"]))
