"""Show the report of a study on a terminal."""

from rich.console import Console
from rich.table import Table as TerminalTable
from rich.text import Text

from layermix.experiments.display import print_text, show_status
from layermix.experiments.study import Study
from layermix.reporting import text
from layermix.reporting.formatting import ABSENT
from layermix.reporting.summary import Summary
from layermix.reporting.tables import Table, overview_table
from layermix.reporting.write import write_report


def show_study(study: Study, console: Console) -> Summary:
    """Write a study's report; print the verdict, a table and its path; return the summary."""
    with show_status(console, "Building the report"):
        summary, path = write_report(study)
    console.print()
    for warning in text.warning_texts(summary):
        print_text(console, f"Warning: {warning}", fold=True)
    print_text(console, " ".join(text.verdict_text(summary)), fold=True)
    console.print()
    console.print(terminal_table(overview_table(summary)))
    print_text(console, f"Report: {path}")
    return summary


def terminal_table(table: Table) -> TerminalTable:
    """Return a table for the terminal; intervals are beside the means."""
    shown = TerminalTable(title=Text(table.caption, style="table.title"))
    for index, column in enumerate(table.columns):
        shown.add_column(
            Text(column.heading), overflow="fold", justify="right" if index else "left"
        )
    for row in table.rows:
        cells = (
            cell.text if cell.interval == ABSENT else f"{cell.text} ({cell.interval})"
            for cell in row.cells
        )
        shown.add_row(Text(row.heading), *map(Text, cells), style="bold" if row.mark else None)
    return shown
