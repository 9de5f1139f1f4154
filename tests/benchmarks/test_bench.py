"""Tests of the benchmarks: compared functions are equivalent, and tables are written."""

import copy
import importlib
import json
import math
from functools import partial
from pathlib import Path

import pytest
import torch

from benchmarks.__main__ import main
from benchmarks.bench import BENCHES, run_bench, show_bench
from benchmarks.counting import Counting
from benchmarks.setting import Setting
from benchmarks.snnl import _data, _dense, _tiled
from benchmarks.step import step
from benchmarks.table import Table
from layermix import InputError
from layermix.lab import Recipe, configure
from layermix.lab.display import open_console
from layermix.mixing import BLENDS

# Modules with attributes that tests replace.
geometry = importlib.import_module("benchmarks.geometry")
blends = importlib.import_module("benchmarks.blends")


@pytest.mark.parametrize("what", [*BENCHES, "survey"])
def test_every_benchmark_has_a_command(what: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main([what, "--help"])
    assert stop.value.code == 0
    assert f"usage: python -m benchmarks {what}" in capsys.readouterr().out


def test_interrupted_benchmark_prints_a_message(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(_: Setting) -> Table:
        raise KeyboardInterrupt

    monkeypatch.setitem(BENCHES, "snnl", stop)
    with pytest.raises(SystemExit) as end:
        main(["snnl"])
    assert end.value.code == 130
    assert "layermix: stopped" in capsys.readouterr().err


@pytest.mark.parametrize("suffix", ["json", "csv"])
def test_benchmark_writes_its_table(
    suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = {"what": "nothing", "seconds": 0.5}
    table = Table("Nothing", [row], ["It is quick."])
    monkeypatch.setitem(BENCHES, "nothing", lambda setting: table)
    path = tmp_path / f"deep/nothing.{suffix}"
    found = run_bench("nothing", Setting(repeats=3), path)
    assert found.conditions["command"] == "python -m benchmarks nothing --repeats 3"
    assert torch.__version__.startswith(found.conditions["torch"])
    if suffix == "json":
        assert json.loads(path.read_text()) == found.to_json()
    else:
        assert path.read_text() == "what,seconds\nnothing,0.5\n"


def test_invalid_benchmark_or_output_raises(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unknown benchmark 'snml': did you mean 'snnl'"):
        run_bench("snml", Setting())
    with pytest.raises(InputError, match=r"it must end in .json or .csv"):
        run_bench("snnl", Setting(), tmp_path / "table.txt")


def test_timed_snnl_implementations_are_equal() -> None:
    x, y = _data(1500)
    torch.testing.assert_close(_tiled(x, y).float(), _dense(x, y), rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_geometry_time_is_compared_with_a_run_and_a_study(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(geometry, "Recipe", partial(Recipe, epochs=1))
    monkeypatch.setattr(geometry, "configure", partial(configure, variants=("none",), seeds=2))
    monkeypatch.setattr(geometry, "default_workers", lambda device: 1)
    found = geometry.bench_geometry(Setting(repeats=1))
    rows = {row["what"]: row for row in found.rows}
    assert list(rows) == [
        "run, SNNL alone",
        "run, as in a study",
        "run, every epoch",
        "default digits study",
    ]
    base, one, every = (
        "run, SNNL alone",
        "one run's extra / study",
        "all unmixed runs' extra / study",
    )
    assert rows[base]["ratio"] == 1
    assert rows[base][one] == rows[base][every] == 0
    study = float(rows["default digits study"]["seconds"])
    for name in ("run, as in a study", "run, every epoch"):
        extra = float(rows[name]["seconds"]) - float(rows[base]["seconds"])
        assert rows[name][one] == pytest.approx(extra / study)
        assert rows[name][every] == pytest.approx(2 * extra / study)
    assert [note.split(":")[0] for note in found.notes] == ["ratio", one, every]
    assert found.notes[2].endswith("times 2 seeds, divided by 1 parallel worker.")


def test_every_blend_is_timed_at_supported_shapes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(blends, "_SHAPES", {"map": (4, 3, 4, 4), "features": (4, 8)})
    monkeypatch.setattr(blends, "_LEAST", 1e-9)
    found = blends.bench_blends(Setting(repeats=2))
    timed = {(row["what"], row["at"]) for row in found.rows}
    assert {what for what, at in timed if at == "map"} >= {"copy", *BLENDS}
    assert ("linear", "features") in timed
    assert ("cut", "features") not in timed
    assert {row["pass"] for row in found.rows} == {"forward", "and backward"}
    for row in found.rows:
        assert float(row["least / copy"]) <= float(row["/ copy"]) <= float(row["most / copy"])
        if row["what"] in ("copy", "linear"):
            assert row[f"/ {row['what']}"] == 1
    show_bench(found, open_console())
    assert found.notes[0] in capsys.readouterr().out


def test_timed_backward_computes_the_input_gradient() -> None:
    x = torch.randn(4, 3, 4, 4)
    for way in blends.ways(x).values():
        (gradient,) = blends.both(way, x)()
        assert gradient.shape == x.shape


@pytest.mark.parametrize(
    "what",
    [
        "mix",
        "probe",
        *(pytest.param(long, marks=pytest.mark.slow) for long in ("step", "train", "speed")),
    ],
)
def test_benchmark_runs_at_small_sizes(what: str) -> None:
    found = run_bench(what, Setting(repeats=1, small=True))
    assert found.conditions["command"] == f"python -m benchmarks {what} --repeats 1 --small"
    for row in found.rows:
        assert float(row.get("n", 1)) == 1
        least, most = float(row.get("least", 0)), float(row.get("most", 0))
        assert math.isnan(least) or least <= most
    assert len({frozenset(row) for row in found.rows}) == 1


def test_plain_steps_are_equal_and_differ_from_a_mixed_step() -> None:
    x, labels = torch.randn(4, 6), torch.tensor([0, 1, 2, 0])
    net = torch.nn.Sequential(torch.nn.Linear(6, 5), torch.nn.ReLU(), torch.nn.Linear(5, 3))
    nets = {at: copy.deepcopy(net) for at in ("none", "none again", "final")}
    for at, one in nets.items():
        step(one, at, x, labels)()
    none, again, final = (list(one.parameters()) for one in nets.values())
    assert all(map(torch.equal, none, again))
    assert not any(map(torch.equal, none, final))


def test_launches_of_a_step_are_counted_at_each_point_and_for_peers() -> None:
    rows = {row["what"]: row for row in run_bench("launches", Setting(small=True)).rows}
    assert rows["plain PyTorch"]["added"] == 0
    assert float(rows["by hand, input"]["added"]) > 8
    mixed = [row for name, row in rows.items() if str(name).startswith(("linear", "cut"))]
    assert len(mixed) == 6
    assert all(row["waits"] == 0 and float(row["transfers"]) <= 1 for row in mixed)


@pytest.mark.slow
def test_operations_of_the_loop_are_few() -> None:
    rows = {row["what"]: row for row in run_bench("loop", Setting(small=True)).rows}
    for row in rows.values():
        whole, own = float(row["operations"]), float(row["operations, model"])
        assert float(row["operations, outside"]) == whole - own < 60
        assert float(row["calls of Python, outside"]) > 0


def test_counting_separates_launches_transfers_and_waits() -> None:
    x = torch.randn(4)
    with Counting() as counting:
        float((x.view(2, 2) + 1).sum())  # a view, two launches, a wait
        x.to("meta")
    assert dict(counting.counts) == {("", "launches"): 2, ("", "waits"): 1, ("", "transfers"): 1}


@pytest.mark.slow
def test_study_is_timed_against_separate_commands() -> None:
    rows = run_bench("study", Setting(repeats=1, small=True)).rows
    assert rows[0]["times as fast"] == 1
    assert float(rows[1]["times as fast"]) > 1


@pytest.mark.parametrize(
    ("setting", "message"),
    [({"repeats": 0}, "repeats is 0, but must be"), ({"threads": 0}, "threads is 0, but must be")],
)
def test_invalid_settings_raise(setting: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        run_bench("mix", Setting(**setting))
