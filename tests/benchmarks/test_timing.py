"""Tests of timing, memory and tables of benchmarks. No test depends on the speed."""

import io
import itertools
import math
from types import SimpleNamespace

import pytest
import torch
from rich.console import Console

from benchmarks import timing
from benchmarks.bench import show_bench
from benchmarks.memory import peak_memory, peak_of_tensors
from benchmarks.table import Row, Table
from benchmarks.timing import against, alternate, measured, ratio


def test_functions_are_timed_alternately_after_a_warm_up() -> None:
    calls: list[str] = []
    seconds = alternate({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, 3)
    assert calls == ["a", "b"] * 4
    assert {name: len(values) for name, values in seconds.items()} == {"a": 3, "b": 3}


def test_ratio_is_computed_per_repetition() -> None:
    assert ratio({"a": [2.0, 9.0, 4.0], "b": [1.0, 3.0, 4.0]}, "a", "b") == (2.0, 1.0, 3.0)


def test_peak_memory_includes_freed_memory() -> None:
    grown = peak_memory(lambda: torch.ones(10_000_000).sum())
    assert math.isnan(grown) or 38 < grown < 80


def test_peak_of_tensors_is_exact() -> None:
    def one_after_another() -> None:
        for _ in range(3):
            torch.ones(1_000_000)

    def together() -> None:
        _ = torch.ones(1_000_000), torch.zeros(500_000, dtype=torch.float64)

    assert peak_of_tensors(one_after_another) == 4.0
    assert peak_of_tensors(together) == 8.0
    assert peak_of_tensors(lambda: None) == 0.0


def test_ratio_row_has_median_and_spread() -> None:
    seconds = {"a": [2.0, 9.0, 4.0], "b": [1.0, 3.0, 4.0]}
    assert measured(seconds, "a") == {"n": 3, "seconds": 4.0}
    assert against(seconds, "a", "b", "/ b") == {"/ b": 2.0, "least": 1.0, "most": 3.0}


def _printed_lines(console: Console) -> list[str]:
    many: Row = {f"ratio number {k}": 1.25 for k in range(12)}
    show_bench(Table("Title", [{"what": "a", **many, "none": math.nan}], ["A note."]), console)
    return console.file.getvalue().splitlines()  # pyright: ignore[reportAttributeAccessIssue]


def test_table_without_a_terminal_has_one_line_per_row() -> None:
    lines = _printed_lines(Console(file=io.StringIO(), width=60))
    (row,) = [line for line in lines if "1.25" in line]
    assert row.count("1.25") == 12
    assert "nan" not in row


def test_narrow_terminal_wraps_numbers_without_truncation() -> None:
    lines = _printed_lines(
        Console(file=io.StringIO(), width=60, force_terminal=True, color_system=None)
    )
    assert max(map(len, lines[:-2])) <= 60
    cells = [line for line in lines if line.startswith("│")]
    assert "".join("".join(cells).split("│")).replace(" ", "").count("1") == 12
    assert "…" not in "".join(cells)


def test_fast_function_is_called_many_times_per_measurement() -> None:
    calls: list[str] = []
    seconds = alternate({"a": lambda: calls.append("a")}, 2, least=1e-3)
    assert len(calls) > 100
    assert max(seconds["a"]) < 1e-3


def test_measurement_includes_periodic_slow_calls(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = [0.0]
    calls = itertools.count()

    def function() -> None:
        clock[0] += 64.0 if next(calls) % 32 == 1 else 1.0

    monkeypatch.setattr(timing, "time", SimpleNamespace(perf_counter=lambda: clock[0]))
    (share,) = alternate({"a": function}, 1, least=1000.0)["a"]
    assert share == pytest.approx(1 + 63 / 32, rel=0.05)
