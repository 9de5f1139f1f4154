"""Survey models by name: one table row for each model. An incomplete table is continued."""

import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import torch
from rich.console import Console
from rich.text import Text

from benchmarks.survey.examine import examine
from benchmarks.survey.libraries import LIBRARIES
from benchmarks.survey.row import REAL, SHAPES, Row, append, read_rows, summary, write_rows
from layermix.errors import InputError, unknown
from layermix.lab.display import print_text


def survey(what: Sequence[str], out: Path | None = None) -> Iterator[Row]:
    """Survey models, and yield the table row of each.

    In a library, the smallest model of each family is surveyed again with real numbers. Single
    models are surveyed with real numbers only.

    Parameters
    ----------
    what
        Libraries of `LIBRARIES`, or single models as ``LIBRARY:NAME``.
    out
        Table to which each row is appended; models that it contains are not surveyed again.

    Raises
    ------
    InputError
        If a library or model is unknown. This is checked before any model is built.
    """
    models = [pair for one in what for pair in _models(one)]
    known = {(row.library, row.model): row for row in (read_rows(out) if out else [])}

    def row(library: str, name: str, real: bool) -> Row:
        found = known.get((library, name))
        if found is None or (real and found.numbers != REAL):
            found = known[library, name] = row_of(library, name, real)
            if out:
                append(out, found)
        return found

    for library, name in models:
        alone = f"{library}:{name}" in what
        yield row(library, name, real=alone)
    for library in dict.fromkeys(one for one in what if one in LIBRARIES):
        for name in _smallest(known[pair] for pair in models if pair[0] == library):
            yield row(library, name, real=True)
    if out:
        write_rows(out, [known[pair] for pair in dict.fromkeys(models)])


def _smallest(rows: Iterable[Row]) -> list[str]:
    """Return the smallest model of each family, in the order of the rows."""
    found: dict[str, Row] = {}
    for row in rows:
        best = found.get(row.family)
        if row.parameters and (best is None or row.parameters < best.parameters):
            found[row.family] = row
    return [row.model for row in found.values()]


def check_models(what: Sequence[str], out: Path | None, console: Console) -> None:
    """Survey models, show the progress, and print a summary.

    Raises
    ------
    InputError
        If models are unknown or `what` is empty, or `out` is not a CSV file.
    """
    if not what:
        raise InputError(
            f"no models are given: survey needs libraries ({', '.join(LIBRARIES)}) or single "
            "models such as timm:resnet18"
        )
    if out and out.suffix != ".csv":
        raise InputError(f"the table is {out}, but its name must end in .csv")
    rows: dict[tuple[str, str], Row] = {}
    with console.status(Text("checking ...")) as status:
        for row in survey(what, out):
            rows[row.library, row.model] = row
            status.update(Text(f"{len(rows):,} models, now after {row.library}:{row.model}"))
    print_text(console, summary(rows.values()))
    if out:
        print_text(console, f"Table: {out}")


def row_of(library: str, name: str, real: bool) -> Row:
    """Build and examine one model, and return its table row, with the error if there is one."""
    source = LIBRARIES[library]
    family = source.family(name)
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.simplefilter("ignore")  # warnings of the library
        torch.manual_seed(0)
        try:
            return examine(library, name, family, *source.build(name, real))
        except Exception as error:  # a model may raise anything
            verdict = " ".join(f"{type(error).__name__}: {error}".split())
            numbers = REAL if real else SHAPES
            return Row(library, name, family, "", numbers, 0, 0, 0, "no", verdict)


def _models(what: str) -> list[tuple[str, str]]:
    library, colon, name = what.partition(":")
    if library not in LIBRARIES:
        raise unknown("library", library, LIBRARIES)
    names = LIBRARIES[library].names()
    if colon and name not in names:
        raise unknown(f"model of {library}", name, names)
    return [(library, name) for name in ([name] if colon else names)]
