"""Benchmarks: ratios to a physical floor and to peers, measured alternately in one process.

A new benchmark is a file with a function that returns a `Table`, and a line in `BENCHES`.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from layermix.errors import InputError, unknown
from layermix.lab.bench.blends import blends
from layermix.lab.bench.geometry import geometry
from layermix.lab.bench.snnl import snnl
from layermix.lab.bench.table import Table
from layermix.lab.conditions import conditions
from layermix.lab.console import say
from layermix.lab.store import write_json

__all__ = ["BENCHES", "Table", "run_bench", "show_bench"]

BENCHES: dict[str, Callable[[], Table]] = {
    "blends": blends,
    "geometry": geometry,
    "snnl": snnl,
}


def run_bench(what: str, out: Path | None = None) -> Table:
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
    found = BENCHES[what]()
    command = {"command": f"layermix bench {what}"}
    found = replace(found, conditions=command | conditions("cpu") | found.conditions)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        if out.suffix == ".json":
            write_json(out, found.to_json())
        else:
            out.write_text(found.to_csv())
    return found


def show_bench(found: Table, console: Console) -> None:
    """Show a table with its notes and conditions."""
    console.print(found.to_rich())
    for note in found.notes:
        say(console, note)
    say(console, "; ".join(f"{name} {value}" for name, value in found.conditions.items()))
