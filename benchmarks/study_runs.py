"""Print the runs of a study as CSV, a line for each.

layermix compare --data FOLDER --preset speed --variants none final --seeds 3 --out runs/speed
python -m benchmarks.study_runs runs/speed > benchmarks/speed-runs-CONDITIONS.csv

Accuracies are shares of the test images, over views too where the recipe looks at several; seconds
are those of the epochs, without what is measured between them.
"""

import sys
from pathlib import Path

from benchmarks.table import Row, Table
from layermix.experiments import RunConfig, Study
from layermix.experiments.store import read_json


def row(study: Study, cell: RunConfig) -> Row:
    """Return what a finished run found."""
    found = read_json(study.path(cell) / "result.json")
    test, timings = found["test"], found["timings"]
    return {
        "variant": cell.variant,
        "seed": cell.seed,
        "accuracy": test["accuracy"],
        "over_views": found.get("test_views", {}).get("accuracy", ""),
        "nll": test["nll"],
        "ece": test["ece"],
        "seconds": timings["seconds"],
        "images_per_second": timings["images_per_second"],
    }


def main(folder: str) -> None:
    """Print the finished runs of a study."""
    study = Study.open(Path(folder))
    rows = [row(study, cell) for cell in study.finished()]
    if not rows:
        sys.exit(f"no run of {folder} is finished")
    sys.stdout.write(Table("Runs", rows, []).to_csv())


if __name__ == "__main__":
    main(sys.argv[1])
