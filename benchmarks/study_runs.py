"""Print the runs of a study as CSV, one line for each run.

layermix compare speed --data FOLDER --variants none final --seeds 3 --out runs/speed
python -m benchmarks.study_runs runs/speed > benchmarks/speed-runs-CONDITIONS.csv

The accuracies are on the test images; if the recipe has `views`, also for predictions averaged over
several views of each image. The seconds of a run exclude the evaluation between epochs.
"""

import sys
from pathlib import Path

from benchmarks.table import Row, Table
from layermix.lab import RunConfig, RunResult, StudyFolder


def row(cell: RunConfig, result: RunResult) -> Row:
    """Return the metrics and timings of a finished run."""
    test, timings = result.test, result.timings
    return {
        "variant": cell.variant,
        "seed": cell.seed,
        "accuracy": test["accuracy"],
        "over_views": (result.test_views or {}).get("accuracy", ""),
        "nll": test["nll"],
        "ece": test["ece"],
        "seconds": timings["seconds"],
        "examples_per_second": timings["examples_per_second"],
    }


def main(folder: str) -> None:
    """Print the finished runs of a study as CSV."""
    study = StudyFolder.open(Path(folder))
    rows = [row(cell, result) for cell, result in study.run_results().items()]
    if not rows:
        sys.exit(f"no run of {folder} is finished")
    sys.stdout.write(Table("Runs", rows, []).to_csv())


if __name__ == "__main__":
    main(sys.argv[1])
