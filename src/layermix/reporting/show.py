"""Show the report of a study on a terminal."""

from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.table import Table as TerminalTable
from rich.text import Text

from layermix.lab.display import print_text, show_status
from layermix.lab.study import StudyFolder
from layermix.reporting import text
from layermix.reporting.formatting import ABSENT
from layermix.reporting.summary import Summary
from layermix.reporting.tables import Table, overview_table
from layermix.reporting.tables.other_data_tables import other_data_tables
from layermix.reporting.write import write_report

_WIDTH = 110  # characters of a line of text


def show_study(study: StudyFolder, console: Console) -> Summary:
    """Write a study's report; print the verdict, a table and its path; return the summary."""
    with show_status(console, "Building the report"):
        summary, path = write_report(study)
    console.print()
    print_summary(summary, console)
    print_text(console, f"Report: {path}")
    return summary


def show_evaluation(study: StudyFolder, console: Console) -> Path:
    """Write a study's report; print the tables of the results on other data; return its path."""
    with show_status(console, "Building the report"):
        summary, path = write_report(study)
    for table in other_data_tables(summary):
        console.print(terminal_table(table, intervals=False))
    print_text(console, "The report has the intervals.")
    return path


def print_summary(summary: Summary, console: Console) -> None:
    """Print the warnings, the verdict and a table of a study."""
    for warning in text.warning_texts(summary):
        print_text(console, f"Warning: {warning}", fold=True)
    print_text(console, " ".join(text.verdict_text(summary)), fold=True)
    console.print()
    console.print(terminal_table(overview_table(summary)))


def summary_text(summary: Summary) -> str:
    """Return the warnings, the verdict and a table of a study as text."""
    written = StringIO()
    print_summary(summary, Console(file=written, width=_WIDTH))
    return written.getvalue().rstrip()


def terminal_table(table: Table, *, intervals: bool = True) -> TerminalTable:
    """Return a table for the terminal, with `intervals` beside the means."""
    shown = TerminalTable(title=Text(table.caption, style="table.title"))
    for index, column in enumerate(table.columns):
        shown.add_column(
            Text(column.heading), overflow="fold", justify="right" if index else "left"
        )
    for row in table.rows:
        cells = (
            cell.text
            if cell.interval == ABSENT or not intervals
            else f"{cell.text} ({cell.interval})"
            for cell in row.cells
        )
        shown.add_row(Text(row.heading), *map(Text, cells), style="bold" if row.mark else None)
    return shown
