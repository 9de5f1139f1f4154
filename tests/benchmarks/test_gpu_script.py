"""Tests of the GPU benchmark script, on a CPU and with small sizes."""

import csv
import io
import os
import shutil
import subprocess
import sys
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


def run_gpu_script(images: Path, out: Path, *steps: str) -> subprocess.CompletedProcess:
    environment = {**os.environ, "SMALL": "1", "DEVICE": "cpu", "PYTHON": sys.executable}
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
    done = run_gpu_script(images, tmp_path / "out", "unpack", "nonsense", "mix")
    assert done.returncode == 1
    assert done.stderr.endswith("not finished: nonsense (exit 1)\n")
    assert (tmp_path / "out/images.safetensors").exists()
    assert (tmp_path / "out/mix.csv").read_text().startswith("what,at,pass,dtype,n,seconds")


@needs_bash
@pytest.mark.slow
def test_every_step_writes_its_table(images: Path, tmp_path: Path) -> None:
    pytest.importorskip("timm")
    done = run_gpu_script(images, tmp_path / "out")
    assert done.returncode == 0, done.stderr
    for name in ("mix", "step", "snnl", "train"):
        assert (tmp_path / f"out/{name}.csv").exists()
    for study in ("speed", "reference"):
        folder = tmp_path / f"out/{study}"
        assert (folder / "report.html").exists()
        assert "| none |" in run_module("benchmarks.study_tables", folder)
        runs = list(csv.DictReader(io.StringIO(run_module("benchmarks.study_runs", folder))))
        assert {run["variant"] for run in runs} == {"none", "final"}
        assert all(run["seed"] == "0" and float(run["seconds"]) > 0 for run in runs)
        assert all((run["over_views"] != "") == (study == "speed") for run in runs)
