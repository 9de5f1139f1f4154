"""Show the report of a study on a terminal, and what several studies say of geometry."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from layermix.errors import InputError
from layermix.experiments.display import print_text, show_status
from layermix.experiments.study import Study
from layermix.reporting import terminal
from layermix.reporting.across import across_markdown
from layermix.reporting.statistics.studies import in_words, over_studies
from layermix.reporting.write import write_report


def open_studies(folders: Sequence[Path]) -> list[Study]:
    """Open the studies that lie in some folders.

    Raises
    ------
    InputError
        When a folder holds no study, or is named twice.
    """
    studies: list[Study] = []
    for folder in folders:
        study = Study.open(folder)
        if folder.resolve() in [other.folder.resolve() for other in studies]:
            raise InputError(
                f"the study in {folder} is named twice and would count twice: name each folder once"
            )
        studies.append(study)
    return studies


def show_study(study: Study, console: Console) -> None:
    """Write a study's report, and show the answer, the table and where the report lies."""
    with show_status(console, "Building the report"):
        summary, path = write_report(study)
    console.print()
    print_text(console, str(summary.verdict), fold=True)
    console.print()
    console.print(terminal.table(summary))
    if summary.prediction.ranks:
        answer = f"{summary.prediction.sentences[0]} {summary.prediction.baseline}".strip()
        print_text(console, answer, fold=True)
    print_text(console, f"Report: {path}")


def show_several(studies: Sequence[Study], console: Console) -> None:
    """Write the report of each study; show how geometry orders the layers over all of them.

    What the studies say together is written as ``geometry.md`` into the folder of the first.
    """
    predictions = {}
    for name, study in zip(_names(studies), studies, strict=True):
        with show_status(console, f"Building the report of {study.folder}"):
            summary, path = write_report(study)
        predictions[name] = summary.prediction
        print_text(console, f"{summary.data}, {summary.model}: {path}")
    console.print()
    found = over_studies(predictions)
    if found:
        console.print(terminal.studies_table(found))
    for name, prediction in predictions.items():
        if not prediction.ranks:
            print_text(console, f"{name}: {prediction}", fold=True)
    print_text(console, in_words(found), fold=True)
    path = studies[0].folder / "geometry.md"
    path.write_text(across_markdown(predictions, found), encoding="utf-8")
    print_text(console, f"Over all studies: {path}")


def _names(studies: Sequence[Study]) -> list[str]:
    """Return the names of the studies' folders, whole paths where two have the same name."""
    short = [study.folder.resolve().name for study in studies]
    return short if len(set(short)) == len(short) else [str(study.folder) for study in studies]
