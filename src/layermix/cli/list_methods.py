"""`layermix methods`: the methods of the literature as a table of their parts."""

from rich.table import Table
from rich.text import Text

from layermix.experiments.display import open_console, print_text
from layermix.mixing import METHODS

_NOTES = """\
hidden: one of the blocks a step; random: the input or one of them; last: the last block.
A method mixes elsewhere as NAME@POINT, and with other settings as NAME@POINT:KEY=VALUE,..., with
alpha, ratio, per, prob, partner or a setting shown in brackets: multimix@final:k=4."""


def list_methods() -> None:
    """layermix methods

    List the methods of the literature with their parts: names that --variant and --variants take,
    as NAME, NAME@POINT or NAME@POINT:KEY=VALUE.
    """
    table = Table(box=None, pad_edge=False, header_style="bold")
    for head in ("method", "mix point", "blend", "partner", "ratio", "source"):
        table.add_column(head, overflow="fold")
    for name, method in METHODS.items():
        table.add_row(*map(Text, (name, *method.row)))
    console = open_console()
    console.print(table)
    print_text(console, _NOTES)
