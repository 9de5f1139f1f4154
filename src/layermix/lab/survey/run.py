"""Go through models by name, and leave a row for each; a table that was begun is continued."""

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from rich.console import Console

from layermix.errors import InputError, unknown
from layermix.lab.console import say
from layermix.lab.survey.examine import examine
from layermix.lab.survey.libraries import LIBRARIES
from layermix.lab.survey.row import Row, append, read_rows, summary


def survey(what: Sequence[str], out: Path | None = None) -> Iterator[Row]:
    """Yield the row of each model, in order.

    Parameters
    ----------
    what
        Libraries of `LIBRARIES`, or single models as ``LIBRARY:NAME``.
    out
        Table to which each row is added as it is found; rows that it has are not found again.

    Raises
    ------
    InputError
        For an unknown library or model, before anything is built.
    """
    models = [pair for one in what for pair in _models(one)]
    known = {(row.library, row.model): row for row in (read_rows(out) if out else [])}
    for library, name in models:
        if (library, name) in known:
            yield known[library, name]
            continue
        row = row_of(library, name)
        if out:
            append(out, row)
        yield row


def check_models(what: Sequence[str], out: Path | None, console: Console) -> None:
    """Survey models, show their number as it grows, and say what was found.

    Raises
    ------
    InputError
        Where models are unknown or none are named, or the table is not to be a CSV file.
    """
    if not what:
        raise InputError(
            f"no models are named: --check takes libraries ({', '.join(LIBRARIES)}) or single "
            "models such as timm:resnet18"
        )
    if out and out.suffix != ".csv":
        raise InputError(f"the table is {out}, but its name must end in .csv")
    rows = []
    with console.status("checking ...") as status:
        for row in survey(what, out):
            rows.append(row)
            status.update(f"{len(rows):,} models, now after {row.library}:{row.model}")
    say(console, summary(rows))
    if out:
        say(console, f"Table: {out}")


def row_of(library: str, name: str) -> Row:
    """Build one model and examine it; whatever it fails with becomes its verdict."""
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.simplefilter("ignore")  # what a library says of its own models
        torch.manual_seed(0)
        try:
            return examine(library, name, *LIBRARIES[library].build(name))
        except Exception as error:  # a library's model may fail in any way
            verdict = " ".join(f"{type(error).__name__}: {error}".split())
            return Row(library, name, "", "", 0, 0, "no", verdict)


def _models(what: str) -> list[tuple[str, str]]:
    library, colon, name = what.partition(":")
    if library not in LIBRARIES:
        raise unknown("library", library, LIBRARIES)
    names = LIBRARIES[library].names()
    if colon and name not in names:
        raise unknown(f"model of {library}", name, names)
    return [(library, name) for name in ([name] if colon else names)]
