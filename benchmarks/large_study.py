"""A study of thousands of runs without training: the time and memory to list and to report it.

Each run is a copy of one real run, with accuracies drawn around its own. `layermix runs` and
`layermix report` are measured as whole processes; memory is the peak of the process.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load, save

from layermix.lab import DataConfig, Recipe, StudyConfig, StudyFolder, configure, run
from layermix.lab.store import MANIFEST, RunConfig
from layermix.lab.store.manifest import LOGITS, manifest_bytes, read_manifest
from layermix.lab.training.metrics import main_metrics

VARIANTS = ("none", "input", "block1", "block2", "block3", "final", "random", "auto")
_FILES = ("config.json", "epochs.jsonl", "result.json", "logits.safetensors", "log.txt")


def write_study(folder: Path, runs: int) -> StudyFolder:
    """Write a study with at least this number of finished runs."""
    recipe = Recipe(epochs=20, monitor=6)
    config = configure(DataConfig(), "resnet-small", recipe, VARIANTS, seeds=-(-runs // 8))
    models = {name: trained_files(config, name) for name in ("none", "input")}
    study, rng = StudyFolder(config, folder), np.random.default_rng(0)
    for cell in study.cells():
        model = models["none" if cell.variant == "none" else "input"]
        files = with_other_accuracy(model, cell, rng)
        path = study.path(cell)
        path.mkdir()
        for name, content in files.items():
            (path / name).write_bytes(content)
        (path / MANIFEST).write_bytes(manifest_bytes(path.name, files, []))
    return study


def trained_files(config: StudyConfig, variant: str) -> dict[str, bytes]:
    """Train one run, and return its files."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run"
        run(RunConfig(config.data, config.model, config.recipe, variant, 0), path, threads=1)
        return {name: (path / name).read_bytes() for name in read_manifest(path)["files"]}


def with_other_accuracy(
    files: dict[str, bytes], cell: RunConfig, rng: np.random.Generator
) -> dict[str, bytes]:
    """Return the files of another run, with other predictions of some examples."""
    config, result = json.loads(files["config.json"]), json.loads(files["result.json"])
    recipe = replace(cell.recipe, **{k: config["recipe"][k] for k in ("crop", "flip", "optimizer")})
    config |= {"variant": cell.variant, "seed": cell.seed}
    config["recipe"] |= {k: v for k, v in asdict(recipe).items() if k not in ("lr", "weight_decay")}
    logits = load(files[LOGITS])
    for split in ("val", "test"):
        values, labels = logits[f"{split}.logits"], logits[f"{split}.labels"]
        count = rng.integers(1, max(2, len(values) // 50))
        rows = torch.from_numpy(rng.choice(len(values), count, replace=False))
        values[rows] = values[rows].roll(1, dims=1)
        result[split] |= main_metrics(values, labels.long())
    changed = {"config.json": config, "result.json": result}
    found = {name: files[name] for name in _FILES} | {LOGITS: save(logits)}
    return found | {name: json.dumps(content).encode() for name, content in changed.items()}


def _measured(words: list[str]) -> dict[str, Any]:
    """Run a command; return its seconds and peak memory in MB."""
    code = (
        "import resource, subprocess, sys; done = subprocess.run(sys.argv[1:], stdout=subprocess."
        "DEVNULL).returncode; print(done, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    command = [sys.executable, "-m", "layermix", *words]
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", code, *command], capture_output=True, text=True, check=True
    )
    seconds = time.perf_counter() - started
    status, memory = map(int, done.stdout.split())
    return {"status": status, "seconds": round(seconds, 2), "peak MB": memory // 1024}


def large_study(runs: int = 5000, out: Path | None = None) -> None:
    """python -m benchmarks large-study --runs 5000

    Write a study of many runs without training, and measure the commands that read it.

    Args:
        runs: Number of runs.
        out: Folder of the study, which is kept. Default: a temporary folder.
    """
    with tempfile.TemporaryDirectory() as temporary:
        folder = out or Path(temporary) / "study"
        started = time.perf_counter()
        study = write_study(folder, runs)
        count = len(os.listdir(study.runs))
        print(f"{count:,} runs written in {time.perf_counter() - started:.1f} s")
        for words in (["runs"], ["report"], ["runs", "--verify"]):
            print(" ".join(words), _measured([*words, str(folder)]))
