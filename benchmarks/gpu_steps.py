"""Benchmarks and the study for `gpu.sh`, without the libraries that the layermix command needs.

    python -m benchmarks.gpu_steps bench WHAT TABLES [--device cuda] [--data DATA] [--small]
    python -m benchmarks.gpu_steps study FOLDER --data DATA [--device cuda] [--small] [--seeds 20]
    python -m benchmarks.gpu_steps report WORK OUT

The study trains the speed net, mixed nowhere, at the input, at each block and at the final layer,
one seed after another. `report` writes the tables and the finished runs of the folder WORK to OUT.
"""

import argparse
import json
import shutil
import sys
import tarfile
from dataclasses import replace
from pathlib import Path

from benchmarks.bench import run_bench, show_bench
from benchmarks.setting import Setting
from benchmarks.study_runs import run_table
from layermix import lab
from layermix.lab import DataConfig, Execution, StudyConfig, StudyFolder
from layermix.lab.display import open_console
from layermix.lab.training import PRESETS
from layermix.reporting.show import show_study

_LEFT_OUT = (".safetensors",)  # weights, features and logits
_VARIANTS = ("none", "input", "block1", "block2", "block3", "final")


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["bench", "study", "report"])
    parser.add_argument("words", nargs="+")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--data", default="digits")
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--workers", default="auto")
    given = parser.parse_args()
    {"bench": _bench, "study": _study, "report": _report}[given.what](given)


def study_of(given: argparse.Namespace) -> StudyConfig:
    """Return the configuration of the study, or of a tiny one if `small` is given."""
    speed, size, seeds = PRESETS["speed"], None, given.seeds
    recipe, variants = replace(speed.recipe, device=given.device), _VARIANTS
    if given.small:
        size, seeds, variants = 100, 1, ("none", "final")
        recipe = replace(recipe, epochs=1, batch_size=50)
    data = DataConfig(given.data, train_size=size)
    return lab.configure(data, speed.model, recipe, variants, seeds=seeds)


def _bench(given: argparse.Namespace) -> None:
    what, tables = given.words
    threads = 1 if given.device == "cpu" else 8
    repeats = 1 if given.small else given.repeats
    setting = Setting(given.device, repeats, threads, given.data, small=given.small)
    found = run_bench(what, setting, Path(tables) / f"{what}.json")
    show_bench(found, open_console())


def _study(given: argparse.Namespace) -> None:
    workers = given.workers if given.workers == "auto" else int(given.workers)
    lab.train_study(
        study_of(given),
        given.words[0],
        Execution(workers=workers),
        console=open_console(),
    )


def _report(given: argparse.Namespace) -> None:
    work, out = map(Path, given.words)
    tables = [json.loads(path.read_text()) for path in sorted(work.glob("tables/*.json"))]
    (out / "tables.json").write_text(json.dumps(tables, indent=1))
    folder = work / "study"
    if not (folder / "study.json").exists() or not StudyFolder.open(folder).finished():
        sys.exit("no run of the study is finished")
    (out / "runs.csv").write_text(run_table(folder).to_csv())
    with tarfile.open(out / "study.tar.gz", "w:gz") as archive:
        archive.add(folder / "study.json", "study/study.json")
        for path in sorted(folder.glob("runs/*/*")):
            if path.suffix not in _LEFT_OUT and "unfinished" not in path.parent.name:
                archive.add(path, Path("study") / path.relative_to(folder))
    show_study(StudyFolder.open(folder), open_console())
    shutil.copy(folder / "report.html", out / "report.html")


if __name__ == "__main__":
    main()
