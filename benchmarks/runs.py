"""Print the runs of a study as CSV, a line for each.

layermix compare --data FOLDER --preset speed --variants none final --seeds 3 --out runs/speed
python benchmarks/runs.py runs/speed > benchmarks/speed-runs-CONDITIONS.csv

Accuracies are shares of the test images, over views too where the recipe looks at several; seconds
are those of the epochs, without what is measured between them.
"""

import csv
import json
import sys
from pathlib import Path

from layermix.lab import Study

COLUMNS = (
    "variant",
    "seed",
    "accuracy",
    "over_views",
    "nll",
    "ece",
    "seconds",
    "images_per_second",
)


def main(folder: str) -> None:
    """Print the finished runs of a study."""
    study = Study.open(Path(folder))
    writer = csv.DictWriter(sys.stdout, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for cell in study.finished():
        found = json.loads((study.path(cell) / "result.json").read_text())
        test, timings = found["test"], found["timings"]
        writer.writerow(
            {
                "variant": cell.variant,
                "seed": cell.seed,
                "over_views": found.get("test_views", {}).get("accuracy", ""),
                **{name: test[name] for name in ("accuracy", "nll", "ece")},
                **{name: timings[name] for name in ("seconds", "images_per_second")},
            }
        )


if __name__ == "__main__":
    main(sys.argv[1])
