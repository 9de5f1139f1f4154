"""List the runs of a study from their folders, without reading more than the manifests."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from layermix.lab.store.claims import FolderClaim
from layermix.lab.store.manifest import DamagedRun, read_manifest
from layermix.lab.store.run_writer import (
    CORRUPT,
    REASON,
    RECORDED,
    UNFINISHED,
    read_attempts,
)

Status = Literal["finished", "running", "stopped", "damaged", "corrupt"]


@dataclass(frozen=True)
class ListedRun:
    """A run and its status.

    It is ``"finished"``, ``"running"`` in some process, ``"stopped"`` or failed, ``"damaged"``, or
    ``"corrupt"``: damaged earlier, and set aside.
    """

    path: Path
    status: Status
    variant: str
    seed: int | None
    epochs: int = 0
    accuracy: float | None = None  # of validation data
    seconds: float | None = None  # of training
    conditions: dict[str, str] = field(default_factory=dict)
    detail: str = ""
    """Why a run is stopped or damaged, or where it is trained."""

    @property
    def name(self) -> str:
        """Name of the folder of the finished run."""
        return self.path.name.partition(CORRUPT)[0].removesuffix(UNFINISHED)


def list_runs(runs: Path) -> list[ListedRun]:
    """Return all runs in a folder, sorted by name."""
    if not runs.exists():
        return []
    found = sorted(entry.name for entry in os.scandir(runs) if entry.is_dir())
    return [_listed(runs / name) for name in found]


def _listed(path: Path) -> ListedRun:
    if path.name.endswith(UNFINISHED):
        return _unfinished(path)
    variant, seed = _variant_and_seed(path.name)
    if CORRUPT in path.name:
        reason = path / REASON
        text = reason.read_text(encoding="utf-8", errors="replace") if reason.exists() else ""
        return ListedRun(path, "corrupt", variant, seed, detail=text.strip())
    try:
        manifest = read_manifest(path)
    except DamagedRun as error:
        return ListedRun(path, "damaged", variant, seed, detail=str(error))
    about, conditions = manifest["run"], manifest["conditions"]
    return ListedRun(
        path,
        "finished",
        about["variant"],
        about["seed"],
        about["epochs"],
        about["accuracy"],
        about["seconds"],
        conditions,
    )


def _unfinished(path: Path) -> ListedRun:
    name = path.name.removesuffix(UNFINISHED)
    attempts = read_attempts(path.with_name(name))
    last: dict[str, Any] = attempts[-1] if attempts else {}
    claimed = FolderClaim.is_taken(path)
    detail = last.get("worker") if claimed else last.get("end") or "its process has ended"
    recorded = path / RECORDED
    lines = recorded.read_bytes().count(b"\n") if recorded.exists() else 0
    status: Status = "running" if claimed else "stopped"
    variant, seed = _variant_and_seed(name)
    return ListedRun(path, status, variant, seed, max(0, lines - 1), detail=str(detail or ""))


def _variant_and_seed(name: str) -> tuple[str, int | None]:
    """Return the variant, as far as a folder's name shows it, and the seed."""
    variant, _, rest = name.rpartition("-seed")
    seed = rest.partition("-")[0]
    return variant or name, int(seed) if seed.isdecimal() else None


def grouped_conditions(found: list[ListedRun]) -> Iterator[tuple[str, int]]:
    """Yield the versions and hardware of finished runs as text, with the number of runs."""
    groups: dict[tuple[str, ...], int] = {}
    for run in found:
        if run.status == "finished":
            names = ("layermix", "torch", "processor", "device")
            key = tuple(run.conditions.get(name, "unknown") for name in names)
            groups[key] = groups.get(key, 0) + 1
    for (version, torch, processor, device), count in groups.items():
        yield f"layermix {version}, torch {torch}, {processor}, {device}", count
