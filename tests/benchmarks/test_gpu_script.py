"""Tests of the GPU benchmark script, on a CPU and with small sizes."""

import csv
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Return a folder of parquet files in the format of CIFAR-10."""
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    from PIL import Image

    folder = tmp_path / "data"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for split, count in (("train", 120), ("test", 40)):
        rows = []
        for _ in range(count):
            file = io.BytesIO()
            pixels = rng.integers(256, size=(32, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(file, "png")
            rows.append({"bytes": file.getvalue(), "path": None})
        table = pa.table({"img": rows, "label": [k % 10 for k in range(count)]})
        pq.write_table(table, folder / f"{split}-00000-of-00001.parquet")
    return folder


def run_gpu_script(
    images: Path, out: Path, *steps: str, work: Path, **settings: str
) -> subprocess.CompletedProcess:
    environment = {**os.environ, "SMALL": "1", "DEVICE": "cpu", "PYTHON": sys.executable}
    environment |= {"WORK": str(work), **settings}
    return subprocess.run(
        ["benchmarks/gpu.sh", str(images), str(out), *steps],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


def run_module(module: str, folder: Path) -> str:
    command = [sys.executable, "-m", module, str(folder)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


needs_bash = pytest.mark.skipif(
    shutil.which("bash") is None or shutil.which("timeout") is None, reason="needs bash and timeout"
)


@needs_bash
@pytest.mark.slow
def test_failed_step_does_not_stop_later_steps(images: Path, tmp_path: Path) -> None:
    done = run_gpu_script(images, tmp_path / "out", "nonsense", "mix", work=tmp_path / "work")
    assert done.returncode == 1
    assert done.stderr.endswith("not finished: nonsense (exit 1)\n")
    table = json.loads((tmp_path / "work/tables/mix.json").read_text())
    assert {"what", "at", "pass", "dtype"} <= set(table["rows"][0])


@needs_bash
@pytest.mark.slow
def test_time_limit_stops_and_the_same_command_continues(images: Path, tmp_path: Path) -> None:
    out, work = tmp_path / "out", tmp_path / "work"
    done = run_gpu_script(images, out, work=work, MINUTES="0")
    assert done.returncode == 1
    assert "train (stopped by its limit)" in done.stderr
    (work / "done/tests").touch()
    first = {"MINUTES": "20", "WORKERS": "1"}
    done = run_gpu_script(images, out, work=work, **first)
    assert done.returncode == 0, done.stderr
    assert "== tests" not in done.stdout
    again = run_gpu_script(images, out, work=work, **first)
    assert again.returncode == 0
    assert again.stdout.startswith("== report")
    tables = json.loads((out / "tables.json").read_text())
    assert len(tables) == 7
    assert all(table["conditions"]["device"] == "cpu" for table in tables)
    files = [path for path in out.rglob("*") if path.is_file()]
    names = {"report.html", "runs.csv", "study.tar.gz", "tables.json", "tests.txt"}
    assert {path.name for path in files} == names
    assert all(path.stat().st_size < 16 << 20 for path in files)
    runs = list(csv.DictReader(io.StringIO((out / "runs.csv").read_text())))
    assert {run["variant"] for run in runs} == {"none", "final"}
    assert all(run["seed"] == "0" and float(run["seconds"]) > 0 for run in runs)
    assert all(float(run["over_views"]) >= 0 and float(run["clean_stats"]) >= 0 for run in runs)
    with tarfile.open(out / "study.tar.gz") as archive:
        archive.extractall(tmp_path / "again", filter="data")
    assert "| none |" in run_module("benchmarks.study_tables", tmp_path / "again/study")
