"""The methods of the literature as a table: one row each, one column for each of their parts."""

from dataclasses import fields
from pathlib import Path

from rich.console import Console
from rich.table import Table

from layermix.lab.console import say
from layermix.lab.figures.blends import draw_blends
from layermix.mixing import BLENDS, METHODS, PARTNERS, Blend, Many, Method, Pairing

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
            name,
            method.at,
            part(method.blend),
            "all" if isinstance(method.blend, Many) else part(method.partner),
            how_much(method),
            method.source,
        )
    return table


def show_methods(console: Console) -> None:
    """Show the table, and how a method is written with other settings."""
    console.print(method_table())
    say(console, "\n".join(METHOD_NOTES))


def show_drawn(folder: Path, console: Console) -> None:
    """Draw every blend into a folder, and say which files that gave."""
    say(console, "\n".join(f"Picture: {path}" for path in draw_blends(folder)))


def part(of: Blend | Pairing) -> str:
    """Return a blend or a way to choose partners in words, its settings in brackets."""
    values = {f.name: getattr(of, f.name) for f in fields(of)}
    shown = [f"{k}={part(v) if isinstance(v, Blend) else v}" for k, v in values.items()]
    registered = {**BLENDS, **PARTNERS}
    name = next(name for name, kind in registered.items() if kind is type(of))
    return name + (f" ({', '.join(shown)})" if shown else "")


def how_much(method: Method) -> str:
    """Return the law of a method's ratio in words, and how often it mixes."""
    options = method.options
    law = f"Beta({options['alpha']:g}, same)" if "alpha" in options else "Dirichlet"
    words = [f"{options['ratio']}" if "ratio" in options else law]
    if "per" in options:
        words.append(f"per {options['per']}")
    if "probability" in options:
        words.append(f"probability {options['probability']}")
    return ", ".join(words)
