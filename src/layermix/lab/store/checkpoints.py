"""Checkpoints of a run in two alternating files, so that one is whole at any time.

``checkpoint-K.safetensors`` has the state of the training (`layermix.lab.training.checkpoint`), and
``checkpoint-K.json`` its SHA-256 and the number of finished epochs; K is 0 or 1.
"""

from pathlib import Path
from typing import Any, NamedTuple

from layermix.errors import RunError
from layermix.lab.store.files import read_json, sha256, write_bytes, write_json

_SLOTS = (0, 1)


class SavedState(NamedTuple):
    """The state of a training after an epoch, as bytes."""

    epoch: int
    content: bytes


def write_checkpoint(folder: Path, state: SavedState) -> None:
    """Write a checkpoint in place of the older one."""
    epochs = [-1 if (found := _read(folder, k)) is None else found.epoch for k in _SLOTS]
    slot = epochs.index(min(epochs))
    write_bytes(folder / f"checkpoint-{slot}.safetensors", state.content)
    about = {"epoch": state.epoch, "sha256": sha256(state.content)}
    write_json(folder / f"checkpoint-{slot}.json", about)


def read_checkpoint(folder: Path) -> SavedState | None:
    """Return the last whole checkpoint in a folder, or None."""
    found = [state for k in _SLOTS if (state := _read(folder, k)) is not None]
    return max(found, key=lambda state: state.epoch, default=None)


def _read(folder: Path, slot: int) -> SavedState | None:
    path = folder / f"checkpoint-{slot}.json"
    try:
        about: Any = read_json(path)
        content = path.with_suffix(".safetensors").read_bytes()
        whole = sha256(content) == about["sha256"]
        return SavedState(int(about["epoch"]), content) if whole else None
    except (OSError, RunError, LookupError, TypeError, ValueError):
        return None  # missing, or incomplete after a crash
