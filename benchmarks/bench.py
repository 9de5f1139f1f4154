"""Run a benchmark by name, write its table, and show it."""

from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from pathlib import Path

from rich.console import Console

from benchmarks.blends import bench_blends
from benchmarks.compiled import bench_compiled
from benchmarks.geometry import bench_geometry
from benchmarks.launches import bench_launches
from benchmarks.loop import bench_loop
from benchmarks.mix import bench_mix
from benchmarks.norms import bench_norms
from benchmarks.probe import bench_probe
from benchmarks.setting import Setting
from benchmarks.snnl import bench_snnl
from benchmarks.speed import bench_speed
from benchmarks.step import bench_step
from benchmarks.study import bench_study
from benchmarks.table import Table
from benchmarks.train import bench_train
from layermix.errors import InputError, unknown
from layermix.lab.display import print_text
from layermix.lab.store import write_json
from layermix.lab.training.environment import conditions

_WIDEST = 1000  # characters
_SMALL = "Tiny sizes, different from these notes: they only test the code; ignore the times."

BENCHES: dict[str, Callable[[Setting], Table]] = {
    "blends": bench_blends,
    "compiled": bench_compiled,
    "geometry": bench_geometry,
    "launches": bench_launches,
    "loop": bench_loop,
    "mix": bench_mix,
    "norms": bench_norms,
    "probe": bench_probe,
    "snnl": bench_snnl,
    "speed": bench_speed,
    "step": bench_step,
    "study": bench_study,
    "train": bench_train,
}


def run_bench(what: str, setting: Setting, out: Path | None = None) -> Table:
    """Run a benchmark; also write its table as JSON or CSV if `out` is given.

    Raises
    ------
    InputError
        If the benchmark is unknown, or `out` does not end in ``.json`` or ``.csv``.
    """
    if what not in BENCHES:
        raise unknown("benchmark", what, BENCHES)
    if out is not None and out.suffix not in (".json", ".csv"):
        raise InputError(f"cannot write {out}: it must end in .json or .csv")
    setting.check()
    found = BENCHES[what](setting)
    under = {"command": " ".join(["python -m benchmarks", what, *_changed(setting)])}
    under |= conditions(setting.device) | {"threads": str(setting.threads)}
    notes = [_SMALL, *found.notes] if setting.small else found.notes
    found = replace(found, notes=notes, conditions=under | found.conditions)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        if out.suffix == ".json":
            write_json(out, found.to_json())
        else:
            out.write_text(found.to_csv())
    return found


def _changed(setting: Setting) -> Iterator[str]:
    """Yield the command-line flags of all settings that differ from their defaults."""
    for field in fields(setting):
        value = getattr(setting, field.name)
        if value != field.default:
            yield f"--{field.name}" if value is True else f"--{field.name} {value}"


def show_bench(found: Table, console: Console) -> None:
    """Print a table with its notes and conditions; only a terminal limits its width."""
    table = found.to_rich()
    if not console.is_terminal:
        anything = console.options.update(max_width=_WIDEST)
        table.width = console.measure(table, options=anything).maximum
    console.print(table, crop=console.is_terminal)
    for note in found.notes:
        print_text(console, note)
    print_text(console, "; ".join(f"{name} {value}" for name, value in found.conditions.items()))
