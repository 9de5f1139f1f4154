"""Benchmarks and studies for `gpu.sh`, without the libraries that the layermix command needs.

    python -m benchmarks.gpu_steps bench WHAT OUT [--device cuda] [--data DATA] [--small]
    python -m benchmarks.gpu_steps study NAME OUT --data DATA [--device cuda] [--small] [--seeds 4]
    python -m benchmarks.gpu_steps report OUT

Studies: `speed` (the speed recipe, without mixing and at the final layer) and `reference`
(ResNet-18, all mix points). An interrupted study continues; `report` shows the finished runs.
"""

import argparse
from dataclasses import replace
from pathlib import Path

from benchmarks.bench import run_bench, show_bench
from benchmarks.setting import Setting
from layermix import lab
from layermix.lab import DataConfig, Recipe, StudyConfig, StudyFolder
from layermix.lab.display import open_console
from layermix.lab.training import PRESETS
from layermix.reporting.show import show_study

REFERENCE = Recipe(epochs=30, batch_size=512, lr=0.4, weight_decay=5e-4, monitor=6)
PLACES = ("none", "input", "layer1", "layer2", "layer3", "layer4", "final", "random")


def study_of(name: str, given: argparse.Namespace) -> StudyConfig:
    """Return the configuration of a study, or of a tiny one if `small` is given."""
    speed = PRESETS["speed"]
    model, recipe, variants = {
        "speed": (speed.model, speed.recipe, ("none", "final")),
        "reference": ("resnet18", REFERENCE, PLACES),
    }[name]
    size, seeds = None, given.seeds
    if given.small:
        size, seeds, variants = 100, 1, ("none", "final")
        recipe = replace(recipe, epochs=1, batch_size=50, monitor=1)
    recipe = replace(recipe, device=given.device)
    data = DataConfig(given.data, train_size=size)
    return lab.configure(data, model, recipe, variants, seeds=seeds)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["bench", "study", "report"])
    parser.add_argument("words", nargs="+")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--data", default="digits")
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--workers", type=int, default=1)
    given = parser.parse_args()
    console, out = open_console(), Path(given.words[-1])
    if given.what == "bench":
        what = given.words[0]
        threads = 1 if given.device == "cpu" else 8
        repeats = 1 if given.small else given.repeats
        setting = Setting(given.device, repeats, threads, given.data, given.small)
        found = run_bench(what, setting, out / f"{what}.json")
        (out / f"{what}.csv").write_text(found.to_csv())
        show_bench(found, console)
    elif given.what == "study":
        config = study_of(given.words[0], given)
        lab.train_study(config, out, workers=given.workers, console=console)
    else:
        show_study(StudyFolder.open(out), console)


if __name__ == "__main__":
    main()
