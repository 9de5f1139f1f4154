"""Finished runs of a small study whose files are replaced, each with a valid manifest."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from safetensors.torch import load, save
from torch import Tensor

from layermix.lab import DataConfig, Execution, Recipe, configure, train_study
from layermix.lab.store import read_manifest
from stored_runs import edit_run

RESULT, EPOCHS, CONFIG = "result.json", "epochs.jsonl", "config.json"
LOGITS, WEIGHTS = "logits.safetensors", "weights.safetensors"
Change = Callable[[Path], None]


def train_small_study(folder: Path, epochs: int = 1) -> Path:
    """Train two variants with two seeds."""
    recipe = Recipe(epochs=epochs, batch_size=20, monitor=1, geometry=False)
    config = configure(DataConfig(train_size=60), "mlp", recipe, ("none", "input"), seeds=2)
    train_study(config, folder, Execution(workers=1))
    return folder


def write_file(run: Path, name: str, content: bytes) -> None:
    """Write a file of a run, and the manifest that belongs to it."""
    read_manifest(run)
    (run / name).write_bytes(content)
    edit_run(run, CONFIG)


def changed(name: str, *keys: str, to: Any) -> Change:
    """Replace a value in a JSON file; the keys lead to it."""

    def change(run: Path) -> None:
        content = inner = json.loads((run / name).read_text())
        for key in keys[:-1]:
            inner = inner[key]
        inner[keys[-1]] = to
        write_file(run, name, json.dumps(content).encode())

    return change


def without(*keys: str) -> Change:
    def change(run: Path) -> None:
        content = inner = json.loads((run / RESULT).read_text())
        for key in keys[:-1]:
            inner = inner[key]
        del inner[keys[-1]]
        write_file(run, RESULT, json.dumps(content).encode())

    return change


def recorded(function: Callable[[list[Any]], list[Any]]) -> Change:
    """Replace the records of the epochs."""

    def change(run: Path) -> None:
        found = [json.loads(line) for line in (run / EPOCHS).read_text().splitlines()]
        text = "".join(json.dumps(record) + "\n" for record in function(found))
        write_file(run, EPOCHS, text.encode())

    return change


def each(**values: Any) -> Change:
    return recorded(lambda found: [record | values for record in found])


def stored(name: str, function: Callable[[Tensor], Tensor]) -> Change:
    """Replace a tensor of the stored logits."""

    def change(run: Path) -> None:
        tensors = load((run / LOGITS).read_bytes())
        tensors[name] = function(tensors[name]).contiguous()
        write_file(run, LOGITS, save(tensors))

    return change


def header(content: Any, body: bytes = b"") -> bytes:
    """Return a safetensors file with this header."""
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    return len(text).to_bytes(8, "little") + text + body


BROKEN_TENSORS = {
    "zero bytes": b"",
    "header of 2**60 bytes": (2**60).to_bytes(8, "little") + b"{}",
    "header of a list": header([]),
    "deep header": header(b"[" * 100_000),
    "text": b"hello world",
    "size that is a lie": header(
        {"x": {"dtype": "F16", "shape": [2**40], "data_offsets": [0, 4]}}, b"\0" * 4
    ),
}
