"""Export the records of a study for other programs: as CSV, or for TensorBoard."""

import csv
import io
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from layermix.lab.store import RunConfig, RunResult, disk_errors, write_bytes
from layermix.lab.study import StudyFolder

_PARTS = ("val", "test", "clean", "test_views", "sizes", "timings", "conditions")
_EVENTS = "events.out.tfevents.*"

Row = dict[str, Any]


def export_csv(study: StudyFolder, out: Path) -> list[Path]:
    """Write ``runs.csv`` and ``epochs.csv`` to the folder `out`, and return their paths.

    `runs.csv` has a row for each finished run, with its final measures, sizes, times in seconds,
    versions and hardware. `epochs.csv` has a row for each epoch of each run; epoch 0 is before
    training. A nested entry is a column such as ``snnl.block1.value``; a missing one is empty.
    """
    results = study.require_results()
    tables = {
        "runs.csv": [_named(cell) | _measures(result) for cell, result in results.items()],
        "epochs.csv": [
            _named(cell) | dict(_flat(record))
            for cell, result in results.items()
            for record in result.records
        ],
    }
    paths = [out / name for name in tables]
    with disk_errors(f"cannot write the export in {out}"):
        out.mkdir(parents=True, exist_ok=True)
        for path, rows in zip(paths, tables.values(), strict=True):
            write_bytes(path, _csv_bytes(rows))
    return paths


def export_tensorboard(study: StudyFolder, out: Path) -> list[Path]:
    """Write the event files of TensorBoard, in a folder of `out` for each run; return the folders.

    The scalars of an epoch have its number as their step, and tags such as ``snnl/block1/value``.
    The final measures have the last epoch. Variant and seed are hyperparameters. Event files of an
    earlier export are replaced.
    """
    from torch.utils.tensorboard import SummaryWriter

    found = []
    for cell, result in study.require_results().items():
        folder = out / cell.folder_name
        with disk_errors(f"cannot write the export in {folder}"):
            for earlier in folder.glob(_EVENTS):
                earlier.unlink()
            with SummaryWriter(str(folder)) as writer:
                _write_events(writer, cell, result)
        found.append(folder)
    return found


EXPORTS: dict[str, Callable[[StudyFolder, Path], list[Path]]] = {
    "csv": export_csv,
    "tensorboard": export_tensorboard,
}


def _named(cell: RunConfig) -> Row:
    return {"variant": cell.variant, "seed": cell.seed, "run": cell.folder_name}


def _measures(result: RunResult) -> Row:
    last = result.records[-1]["epoch"] if result.records else 0
    return {"epochs": last, **dict(_flat({name: getattr(result, name) for name in _PARTS}))}


def _flat(content: Row, prefix: str = "", mark: str = ".") -> Iterator[tuple[str, Any]]:
    """Yield the entries of nested dicts, with their names joined by a mark."""
    for name, value in content.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}{mark}", mark)
        elif value is not None:
            yield prefix + name, value


def _csv_bytes(rows: list[Row]) -> bytes:
    text, columns = io.StringIO(newline=""), dict.fromkeys(name for row in rows for name in row)
    writer = csv.DictWriter(text, list(columns), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode(errors="backslashreplace")


def _write_events(writer: Any, cell: RunConfig, result: RunResult) -> None:
    """Write the scalars of a run with a `torch.utils.tensorboard.SummaryWriter`."""
    for record in result.records:
        for tag, value in _flat({k: v for k, v in record.items() if k != "epoch"}, mark="/"):
            if _is_number(value):
                writer.add_scalar(tag, value, record["epoch"])
    measures = {"val": result.val, "test": result.test, "clean": result.clean or {}}
    final = {f"final/{tag}": value for tag, value in _flat(measures, mark="/")}
    final = {tag: value for tag, value in final.items() if _is_number(value)}
    last = result.records[-1]["epoch"] if result.records else 0
    hyperparameters = {"variant": cell.variant, "seed": cell.seed, "model": cell.model}
    writer.add_hparams(hyperparameters, final, run_name=".", global_step=last)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
