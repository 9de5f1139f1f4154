"""Print the tables of studies in the docs, as Markdown.

    benchmarks/studies.sh CIFAR_FOLDER runs
    python -m benchmarks.study_tables runs/digits runs/cifar

They are the verdicts, the results with clean norm statistics, and those of *final beats input*.
"""

import sys
from pathlib import Path

from layermix.lab import StudyFolder
from layermix.reporting import summarize
from layermix.reporting.tables import all_tables
from layermix.reporting.text import ENVIRONMENT, verdict_text


def main(folders: list[str]) -> None:
    """Print the command, the verdict and the tables of some studies."""
    show = ENVIRONMENT.get_template("macros.md.j2").module.show  # pyright: ignore[reportAttributeAccessIssue]
    for name in folders:
        summary = summarize(StudyFolder.open(Path(name)))
        found = all_tables(summary)
        tables = [found.metrics, found.differences, found.norms, found.claim]
        parts = [f"## {name}", summary.command, " ".join(verdict_text(summary))]
        parts += [show(table) for table in tables if table]
        sys.stdout.write("\n\n".join(parts) + "\n\n")


if __name__ == "__main__":
    main(sys.argv[1:])
