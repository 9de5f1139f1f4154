"""Benchmarks: ratios to a physical floor and to peers, measured alternately in one process.

A new benchmark is a file with a function that returns a `Table`, and a line in `BENCHES`.
"""

from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Literal

from rich.console import Console

from layermix.errors import InputError, unknown
from layermix.lab.bench.blends import bench_blends
from layermix.lab.bench.geometry import bench_geometry
from layermix.lab.bench.mix import bench_mix
from layermix.lab.bench.probe import bench_probe
from layermix.lab.bench.setting import Setting
from layermix.lab.bench.snnl import bench_snnl
from layermix.lab.bench.speed import bench_speed
from layermix.lab.bench.step import bench_step
from layermix.lab.bench.study import bench_study
from layermix.lab.bench.table import Table
from layermix.lab.bench.train import bench_train
from layermix.lab.conditions import conditions
from layermix.lab.console import say
from layermix.lab.store import write_json

__all__ = ["BENCHES", "BenchName", "Setting", "Table", "run_bench", "show_bench"]

_WIDEST = 1000  # characters
_SMALL = "Tiny sizes, other than these notes say: they prove that it works and measure nothing."

BenchName = Literal["mix", "step", "train", "study", "speed", "snnl", "geometry", "blends", "probe"]
BENCHES: dict[str, Callable[[Setting], Table]] = {
    "blends": bench_blends,
    "geometry": bench_geometry,
    "mix": bench_mix,
    "probe": bench_probe,
    "snnl": bench_snnl,
    "speed": bench_speed,
    "step": bench_step,
    "study": bench_study,
    "train": bench_train,
}


def run_bench(what: str, setting: Setting, out: Path | None = None) -> Table:
    """Run a benchmark; also write its table as JSON or CSV where `out` is given.

    Raises
    ------
    InputError
        For an unknown benchmark, or a file that ends neither in ``.json`` nor in ``.csv``.
    """
    if what not in BENCHES:
        raise unknown("benchmark", what, BENCHES)
    if out is not None and out.suffix not in (".json", ".csv"):
        raise InputError(f"cannot write {out}: name a file that ends in .json or .csv")
    setting.check()
    found = BENCHES[what](setting)
    under = {"command": " ".join(["layermix bench", what, *_changed(setting)])}
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
    """Yield the flags of what is not as usual."""
    for field in fields(setting):
        value = getattr(setting, field.name)
        if value != field.default:
            yield f"--{field.name}" if value is True else f"--{field.name} {value}"


def show_bench(found: Table, console: Console) -> None:
    """Show a table with its notes and conditions; off a terminal as wide as all its digits are."""
    table = found.to_rich()
    if not console.is_terminal:
        anything = console.options.update(max_width=_WIDEST)
        table.width = console.measure(table, options=anything).maximum
    console.print(table, crop=console.is_terminal)
    for note in found.notes:
        say(console, note)
    say(console, "; ".join(f"{name} {value}" for name, value in found.conditions.items()))
