"""`layermix export`: write the records of a study for other programs."""

from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from layermix.lab.display import open_console, print_text


def export_study(
    folder: Positional[Path],
    to: Annotated[Literal["csv", "tensorboard"], arg(help_behavior_hint="")],
    out: Path | None = None,
) -> None:
    """layermix export runs/digits --to csv

    Write the records of the finished runs of a study for other programs: as runs.csv and
    epochs.csv, or as event files of TensorBoard, which has to be installed.

    Args:
        folder: Folder of the study.
        to: csv or tensorboard.
        out: Folder of the files, which replace those of an earlier export; by default
            FOLDER/csv or FOLDER/tensorboard.
    """
    from layermix.lab.study import StudyFolder
    from layermix.reporting.export import EXPORTS

    console, study = open_console(), StudyFolder.open(folder)
    target = out or folder / to
    written = EXPORTS[to](study, target)
    noun = "files" if to == "csv" else "runs"
    print_text(console, f"{len(written):,} {noun} are in {target}.", fold=True)
    for name, problem in ((cell.name, text) for cell, text in study.damaged().items()):
        print_text(console, f"Warning: {name} is left out: {problem}", fold=True)
