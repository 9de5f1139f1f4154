"""Show the report of one study, or of several, on a terminal."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table as TerminalTable
from rich.text import Text

from layermix.errors import InputError
from layermix.experiments.display import print_text, show_status
from layermix.experiments.study import Study
from layermix.reporting import tables, text
from layermix.reporting.formatting import ABSENT
from layermix.reporting.statistics import over_studies
from layermix.reporting.write import write_report


def open_studies(folders: Sequence[Path]) -> list[Study]:
    """Open the studies in folders; each folder must have a study, and may be given only once."""
    paths = [folder.resolve() for folder in folders]
    for folder, path in zip(folders, paths, strict=True):
        if paths.count(path) > 1 and folder.exists():
            raise InputError(f"the study in {folder} is named twice: name each folder once")
    return [Study.open(folder) for folder in folders]


def show_study(study: Study, console: Console) -> None:
    """Write a study's report; print the verdict, a table and the path of the report."""
    with show_status(console, "Building the report"):
        summary, path = write_report(study)
    console.print()
    print_text(console, " ".join(text.verdict_text(summary)), fold=True)
    console.print()
    console.print(terminal_table(tables.overview_table(summary)))
    if summary.prediction.ranks:
        print_text(console, " ".join(text.prediction_text(summary.prediction)), fold=True)
    print_text(console, f"Report: {path}")


def show_several(studies: Sequence[Study], console: Console) -> None:
    """Write the report of each study; print the rank correlations over all studies.

    The result over all studies is also written as ``geometry.md`` into the folder of the first.
    """
    predictions = {}
    for name, study in zip(_names(studies), studies, strict=True):
        with show_status(console, f"Building the report of {study.folder}"):
            summary, path = write_report(study)
        predictions[name] = summary.prediction
        print_text(console, f"{summary.data}, {summary.model}: {path}")
    console.print()
    ranks = over_studies(predictions)
    table, texts = tables.studies_table(predictions, ranks), text.studies_text(ranks)
    if table.rows:
        console.print(terminal_table(table, stacked=True))
    unanswered = {n: text.prediction_text(p) for n, p in predictions.items() if p.obstacle}
    for name, paragraphs in unanswered.items():
        print_text(console, f"{name}: {' '.join(paragraphs)}", fold=True)
    print_text(console, " ".join(texts), fold=True)
    path = studies[0].folder / "geometry.md"
    page = text.ENVIRONMENT.get_template("studies.md.j2")
    content = page.render(table=table, texts=texts, unanswered=unanswered)
    path.write_text(content, encoding="utf-8")
    print_text(console, f"Over all studies: {path}")


def terminal_table(table: tables.Table, *, stacked: bool = False) -> TerminalTable:
    """Return a table for the terminal; intervals are beside the means, or below if `stacked`."""
    form = "{0.text}\n{0.interval}" if stacked else "{0.text} ({0.interval})"
    shown = TerminalTable(title=Text(table.caption, style="table.title"))
    for index, column in enumerate(table.columns):
        shown.add_column(
            Text(column.heading), overflow="fold", justify="right" if index else "left"
        )
    for row in table.rows:
        cells = (cell.text if cell.interval == ABSENT else form.format(cell) for cell in row.cells)
        shown.add_row(Text(row.heading), *map(Text, cells), style="bold" if row.mark else None)
    return shown


def _names(studies: Sequence[Study]) -> list[str]:
    short = [study.folder.resolve().name for study in studies]
    return short if len(set(short)) == len(short) else [str(study.folder) for study in studies]
