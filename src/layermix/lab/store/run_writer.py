"""Write one run: its records, log and checkpoints while it is trained, then the finished folder.

    NAME-unfinished/    claimed by the process that trains the run: lock, epochs.jsonl, log.txt,
                        attempts.json and checkpoints; remains after a failure, until it is finished
    NAME/               the finished run
    NAME-corrupt/       a run whose files were damaged, with the reason in reason.txt

The files of a finished run are written and synced in a folder with a random name, the manifest as
the last. The folder is then renamed to ``NAME``, which therefore always has all files of a run.
"""

import os
import platform
import secrets
import shutil
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from layermix.errors import RunError
from layermix.lab.store.checkpoints import SavedState, read_checkpoint, write_checkpoint
from layermix.lab.store.claims import FolderClaim
from layermix.lab.store.files import (
    create_file,
    json_lines,
    read_json,
    sync_folder,
    write_bytes,
    write_json,
)
from layermix.lab.store.manifest import MANIFEST, manifest_bytes

RECORDED, LOG, _ATTEMPTS = "epochs.jsonl", "log.txt", "attempts.json"
UNFINISHED, CORRUPT, REASON = "-unfinished", "-corrupt", "reason.txt"


def unfinished_path(path: Path) -> Path:
    """Return the folder of a run while it is trained, and after it failed or was stopped."""
    return path.with_name(path.name + UNFINISHED)


def set_aside(path: Path, reason: str) -> Path:
    """Rename the folder of a damaged run to ``NAME-corrupt``; return the new path."""
    for number in range(1, 1000):
        aside = path.with_name(path.name + CORRUPT + (f"-{number}" if number > 1 else ""))
        if not aside.exists():
            path.rename(aside)
            with suppress(OSError):
                (aside / REASON).write_text(f"{reason}\n", encoding="utf-8")
            return aside
    raise RunError(f"there are 1,000 damaged copies of {path}: remove those that end in -corrupt-N")


def read_attempts(path: Path) -> list[dict[str, Any]]:
    """Return the attempts to train an unfinished run: ``worker``, ``started`` and ``end``."""
    with suppress(RunError):
        found = read_json(unfinished_path(path) / _ATTEMPTS)
        if isinstance(found, list) and all(isinstance(each, dict) for each in found):
            return found
    return []


def worker_name() -> str:
    """Return host and process of the caller, for logs."""
    return f"{platform.node() or 'unknown'}, process {os.getpid()}"


class RunWriter:
    """The unfinished folder of a run, which this process has claimed. Use `claim`."""

    def __init__(self, path: Path, claim: FolderClaim) -> None:
        self.path, self._claim, self.folder = path, claim, claim.folder
        self.attempts = read_attempts(path)

    @classmethod
    def claim(cls, path: Path) -> "RunWriter | None":
        """Claim a run; return None if it is finished, or another process trains it."""
        if path.exists():
            return None
        claim = FolderClaim.take(unfinished_path(path))
        if claim is None:
            return None
        if path.exists():  # finished by the process that had it claimed
            claim.release(remove=True)
            return None
        for left in claim.folder.glob("commit-*"):  # of a killed process
            shutil.rmtree(left, ignore_errors=True)
        return cls(path, claim)

    @staticmethod
    def remove_leftovers(runs: Path) -> None:
        """Remove unfinished folders of finished runs, whose processes ended while they did so."""
        names = set(os.listdir(runs)) if runs.exists() else set()
        for name in names:
            if unfinished_path(runs / name).name in names:
                claim = FolderClaim.take(unfinished_path(runs / name))
                if claim:
                    claim.release(remove=True)

    def checkpoint(self) -> SavedState | None:
        """Return the last checkpoint of the run, or None."""
        return read_checkpoint(self.folder)

    def begin(self, worker: str, epochs: int) -> None:
        """Begin an attempt, from a checkpoint with the records of `epochs` epochs or from 0."""
        self.attempts.append({"worker": worker, "started": _now(), "epochs": epochs, "end": None})
        write_json(self.folder / _ATTEMPTS, self.attempts)
        recorded = self.folder / RECORDED
        lines = recorded.read_bytes().splitlines(keepends=True) if recorded.exists() else []
        write_bytes(recorded, b"".join(lines[:epochs]))
        self.log(f"started by {worker}" + (f", after record {epochs}" if epochs else ""))

    def record(self, record: dict[str, Any]) -> None:
        """Append the record of an epoch."""
        with (self.folder / RECORDED).open("ab") as file:
            file.write(json_lines([record]))

    def save(self, state: SavedState) -> None:
        """Write a checkpoint."""
        write_checkpoint(self.folder, state)
        self.log(f"checkpoint after epoch {state.epoch}")

    def log(self, text: str) -> None:
        """Append a line to the log of the run."""
        with (self.folder / LOG).open("a", encoding="utf-8", errors="replace") as file:
            file.write(f"{_now()} {text}\n")

    def end(self, reason: str) -> None:
        """Note the reason for which an attempt ended."""
        self.log(reason)
        if self.attempts:
            self.attempts[-1]["end"] = reason
            write_json(self.folder / _ATTEMPTS, self.attempts)

    def commit(self, files: dict[str, bytes]) -> None:
        """Write the finished run, and end the claim.

        If another process has finished the same run meanwhile, its files are kept.
        """
        self.end("finished")
        files = files | {LOG: (self.folder / LOG).read_bytes()}
        files[MANIFEST] = manifest_bytes(self.path.name, files, self.attempts)  # the last
        staged = self.folder / f"commit-{secrets.token_hex(8)}"
        try:
            staged.mkdir()
            for name, content in files.items():
                create_file(staged / name, content)
            sync_folder(staged)
            staged.rename(self.path)
        except OSError:
            shutil.rmtree(staged, ignore_errors=True)
            if not (self.path / MANIFEST).exists():
                raise
        sync_folder(self.path.parent)
        self._claim.release(remove=self._claim.is_held)

    def release(self) -> None:
        """End the claim. The files of the unfinished run remain, if it ever started."""
        self._claim.release(remove=not self.attempts)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
