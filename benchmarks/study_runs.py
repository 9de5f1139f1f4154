"""Print the runs of a study as CSV, one line for each run.

layermix compare speed --data FOLDER --variants none final --seeds 3 --out runs/speed
python -m benchmarks.study_runs runs/speed > benchmarks/speed-runs-CONDITIONS.csv

The accuracies are on the test images; if the recipe has `views`, also for predictions averaged over
several views of each image, and if the model has batch norms, with clean norm statistics. The
seconds of a run exclude the evaluation between epochs.
"""

import sys
from pathlib import Path

from benchmarks.table import Row, Table
from layermix.lab import RunConfig, RunResult, StudyFolder


def row(cell: RunConfig, result: RunResult) -> Row:
    """Return the metrics and timings of a finished run."""
    test, clean, timings = result.test, result.clean, result.timings
    return {
        "variant": cell.variant,
        "seed": cell.seed,
        "accuracy": test["accuracy"],
        "over_views": (result.test_views or {}).get("accuracy", ""),
        "clean_stats": clean["test"]["accuracy"] if clean else "",
        "nll": test["nll"],
        "ece": test["ece"],
        "seconds": timings["seconds"],
        "examples_per_second": timings["examples_per_second"],
    }


def run_table(folder: Path) -> Table:
    """Return a table of the finished runs of a study."""
    results = StudyFolder.open(folder).run_results()
    return Table("Runs", [row(cell, result) for cell, result in results.items()], [])


def main(folder: str) -> None:
    """Print the finished runs of a study as CSV."""
    table = run_table(Path(folder))
    if not table.rows:
        sys.exit(f"no run of {folder} is finished")
    sys.stdout.write(table.to_csv())


if __name__ == "__main__":
    main(sys.argv[1])
