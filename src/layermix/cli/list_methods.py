"""`layermix methods`: list the mixing methods of the literature in a table."""

from rich.table import Table
from rich.text import Text

from layermix.lab.display import open_console, print_text
from layermix.mixing import METHODS

_NOTES = """\
hidden: a random block; random: the input or a random block; last: the last block.
NAME@POINT mixes at another point, and NAME@POINT:KEY=VALUE,... changes settings: alpha, ratio, per,
prob, partner, or a setting shown in brackets, for example multimix@final:k=4."""


def list_methods() -> None:
    """layermix methods

    List the methods of the literature. --variant and --variants accept their names, as NAME,
    NAME@POINT or NAME@POINT:KEY=VALUE.
    """
    table = Table(box=None, pad_edge=False, header_style="bold")
    for head in ("method", "mix point", "blend", "partner", "ratio", "source"):
        table.add_column(head, overflow="fold")
    for name, method in METHODS.items():
        table.add_row(*map(Text, (name, *method.row)))
    console = open_console()
    console.print(table)
    print_text(console, _NOTES)
