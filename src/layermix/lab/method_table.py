"""The methods of the literature as a table: one row each, one column for each of their parts."""

from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from layermix.lab.console import say
from layermix.lab.figures.blends import draw_blends
from layermix.lab.method_words import how_much, part, with_whom
from layermix.mixing import METHODS

METHOD_NOTES = (
    "hidden: one of the blocks a step; random: the input or one of them; last: the last block.",
    "A method mixes elsewhere as NAME@POINT, and otherwise as NAME@POINT:KEY=VALUE,..., with",
    "alpha, ratio, per, probability, partner or a setting shown in brackets: multimix@final:k=4.",
)


def method_table() -> Table:
    """Return the table."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for head in ("method", "where", "how (blend)", "with whom", "how much", "source"):
        table.add_column(head, overflow="fold")
    for name, method in METHODS.items():
        table.add_row(
            Text(name),
            Text(method.at),
            Text(part(method.blend)),
            Text(with_whom(method)),
            Text(how_much(method)),
            Text(method.source),
        )
    return table


def show_methods(console: Console) -> None:
    """Show the table, and how a method is written with other settings."""
    console.print(method_table())
    say(console, "\n".join(METHOD_NOTES))


def show_drawn(folder: Path, console: Console) -> None:
    """Draw every blend into a folder, and say which files that gave."""
    say(console, "\n".join(f"Picture: {path}" for path in draw_blends(folder)))
