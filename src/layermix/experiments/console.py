"""How text reaches a terminal: names as they are, and what the terminal cannot show."""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise

from rich.console import Console
from rich.text import Text

_LEAST = 110  # characters of a line where there is no terminal
_GAP = "  "  # between columns, and nowhere inside of one


class PlainConsole(Console):
    """A console that prints names as they are: ``[a]`` is no markup and ``:m:`` no emoji."""

    def __init__(self, width: int | None = None) -> None:
        super().__init__(highlight=False, markup=False, emoji=False, width=width)

    def on_broken_pipe(self) -> None:
        """Raise `BrokenPipeError`, which ends a command, where rich itself ends the program."""
        self.quiet = True
        raise BrokenPipeError


def open_console() -> Console:
    """Return the terminal; without one, a console at least 110 characters wide."""
    console = PlainConsole()
    return console if console.is_terminal else PlainConsole(max(_LEAST, console.width))


def say(console: Console, text: str) -> None:
    """Print text as it is, folded where it goes to a terminal."""
    console.print(Text(text), soft_wrap=not console.is_terminal)


def tell(console: Console, text: str) -> None:
    """Print sentences, folded between words to the width that tables have, wherever they go."""
    console.print(Text(text))


@contextmanager
def doing(console: Console, what: str) -> Iterator[None]:
    """Show what takes its time: for as long as it does on a terminal, as a line elsewhere."""
    if console.is_terminal:
        with console.status(Text(what)):
            yield
    else:
        say(console, f"{what} ...")
        yield


def replace_unknown_characters() -> None:
    """Have the standard streams write a question mark for what their encoding lacks."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")


def stacked(table: str, width: int) -> str:
    """Return a table of text in blocks, one below another, so that none is wider than `width`.

    Every block begins with the first column. What is not too wide stays as it is, and a column
    that alone is too wide has a block of its own.

    Parameters
    ----------
    table
        Lines whose cells are two or more blanks apart, the first column on the left, the others
        on the right; no cell is empty.
    width
        Most characters of a line.
    """
    rows = [re.split(f"{_GAP} *", line.strip()) for line in table.splitlines()]
    first, *others = zip(*rows, strict=True)
    blocks = [table.splitlines()]
    for count in range(2, len(others) + 1):
        if max(len(line) for block in blocks for line in block) <= width:
            break
        ends = [round(k * len(others) / count) for k in range(count + 1)]
        blocks = [_block([first, *others[start:end]]) for start, end in pairwise(ends)]
    return "\n\n".join("\n".join(block) for block in blocks)


def _block(columns: list[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in columns]
    return [
        _GAP.join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])])
        for row in zip(*columns, strict=True)
    ]
