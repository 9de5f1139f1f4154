"""The methods of the literature as a table: one row each, one column for each of their parts."""

from rich.table import Table
from rich.text import Text

from layermix.experiments.console import open_console, say
from layermix.mixing import METHODS
from layermix.reporting.method_text import how_much, part, with_whom

METHOD_NOTES = (
    "hidden: one of the blocks a step; random: the input or one of them; last: the last block.",
    "A method mixes elsewhere as NAME@POINT, and otherwise as NAME@POINT:KEY=VALUE,..., with",
    "alpha, ratio, per, prob, partner or a setting shown in brackets: multimix@final:k=4.",
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


def methods() -> None:
    """layermix methods

    List the methods of the literature with their parts: names that --variant and --variants take,
    as NAME, NAME@POINT or NAME@POINT:KEY=VALUE.
    """
    console = open_console()
    console.print(method_table())
    say(console, "\n".join(METHOD_NOTES))
