"""Checks of the files of a data set, before `datasets` reads them.

`datasets` fills a column that a file lacks with missing values, renames the second of two columns
of one name, and ends the process at a JSON file of ``null``.
"""

import csv
import os
from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from layermix.errors import InputError
from layermix.lab.reasons import reason_of

SEPARATORS = {".csv": ",;\t", ".tsv": "\t;,"}
"""Separators by the suffix of a file; if several are equally frequent, the first one is used."""
_TOOLS = (".cache", ".ipynb_checkpoints", ".thumbnails", ".thumbs")  # folders that tools write
_FILE_NAMES = ("file_name", "file_names")


def separator(path: Path) -> str:
    """Return the separator of a CSV or TSV file, which is that most frequent in the first line."""
    with path.open(encoding="utf-8-sig", errors="replace") as lines:
        head = lines.readline()
    return max(SEPARATORS[path.suffix.lower()], key=head.count)


class AbsentColumn(NamedTuple):
    """A column that a split lacks, or one of its files, and that `datasets` fills."""

    split: str
    column: str
    reason: str


def require_columns(gaps: Iterable[AbsentColumn], used: Container[str]) -> None:
    """Raise an `InputError` if a column that is used has a gap."""
    for gap in gaps:
        if gap.column in used:
            raise InputError(gap.reason)


def check_tables(parts: Mapping[str, Iterable[Path]], sep: str) -> list[AbsentColumn]:
    """Return the columns of the first file that other files of the splits lack.

    Raises an `InputError` if the files cannot be tables of one data set: those of CSV, whose
    columns are divided by `sep`, and parquet need columns of the first file alone, each with a name
    of its own, and those of JSON a list or an object.
    """
    first: tuple[Path, Sequence[str]] | None = None
    gaps = []
    for split, path in ((split, path) for split, files in parts.items() for path in files):
        if path.suffix.lower() in (".json", ".jsonl"):
            _check_json(path)
        if (columns := _columns(path, sep)) is None:
            continue
        twice = [name for name, count in Counter(columns).items() if count > 1]
        if twice:
            raise InputError(f"{path} has two columns {twice[0]!r}: rename or remove one")
        first = first or (path, columns)
        reason = "{} has a column {!r}, which {} lacks: all files need the same columns".format
        if more := set(columns) - set(first[1]):
            raise InputError(reason(path, min(more), first[0]))
        absent = sorted(set(first[1]) - set(columns))
        gaps += [AbsentColumn(split, name, reason(first[0], name, path)) for name in absent]
    return gaps


def check_metadata(files: Iterable[Path]) -> None:
    """Raise an `InputError` if a metadata file of a folder of images has no column of their names.

    Without rows, `datasets` finds no column either.
    """
    for path in files:
        columns = _columns(path, ",")
        if columns is not None and not any(name.endswith(_FILE_NAMES) for name in columns):
            raise InputError(
                f"{path} has no column 'file_name', with the path of each image: add it"
            )


def _check_json(path: Path) -> None:
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        part = " "
        while part and not part.strip():
            part = file.read(4096)
    if part.strip()[:1] not in ("{", "["):
        raise InputError(f"{path} is no JSON table: it must begin with {{ or [, and have rows")


def _columns(path: Path, sep: str) -> list[str] | None:
    """Return the columns of a CSV or parquet file, or None if only `datasets` can read them."""
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        from pyarrow import ArrowException, parquet

        try:
            found = parquet.read_metadata(path)
        except (ArrowException, OSError) as error:
            raise InputError(
                f"cannot read {path}: {reason_of(error)}. Repair or remove it"
            ) from error
        if not found.num_rows:
            raise InputError(f"{path} has no rows: add some, or remove it")
        return found.schema.to_arrow_schema().names
    if suffix not in SEPARATORS:
        return None
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            found = next((row for row in csv.reader(lines, delimiter=sep) if row), None)
    except UnicodeDecodeError as error:
        raise InputError(f"cannot read {path}: {error}. Save it as UTF-8") from error
    except csv.Error:
        return None
    if found and any("\0" in name for name in found):
        raise InputError(f"{path} has zero bytes in its first line: save it as UTF-8 text")
    return found and [name or f"Unnamed: {k}" for k, name in enumerate(found)]  # as pandas does


def check_names(root: Path) -> None:
    """Raise an `InputError` if the path of a file or folder is not UTF-8, which Arrow needs."""
    for path in (root, *root.rglob("*")):
        try:
            str(path).encode()
        except UnicodeEncodeError as error:
            raise InputError(f"the name {os.fsencode(path)!r} is not UTF-8: rename it") from error


def check_folders(
    root: Path, parts: Mapping[str, Sequence[Path]], suffixes: Container[str], noun: str
) -> None:
    """Raise an `InputError` if a folder beside those of classes is a class that is not read.

    Such a folder has files with one of the `suffixes`, but none of those that are read, by split;
    or it has no files, and is beside classes of the training split.
    """
    used = {folder for files in parts.values() for path in files for folder in path.parents}
    for split, files in parts.items():
        above = {f.parent.parent for f in files if root in f.parent.parents}
        beside = {path for parent in above for path in parent.iterdir()}
        for path in sorted(beside - used):
            hidden = path.name.startswith((".", "__"))
            if path.name in _TOOLS or not path.is_dir() or _is_loop(path):
                continue
            lost = (
                p.parent for p in path.rglob("*") if _is_visible(p) and p.suffix.lower() in suffixes
            )
            empty = split == "train" and not hidden and not any(map(_is_visible, path.iterdir()))
            if folder := next(lost, path if empty else None):
                raise InputError(
                    f"{noun} of the folder {str(folder.relative_to(root))!r} in {root} are not "
                    "found: add some, rename it (without a dot at the start or a line break), or "
                    "remove it"
                )


def sets_files(folder: Path) -> bool:
    """Return True if the README.md of a folder sets which of its files are the data."""
    path = folder / "README.md"
    text = path.read_text("utf-8", errors="replace") if path.is_file() else ""
    return text.startswith("---") and "data_files:" in text.split("---")[1]


def _is_visible(path: Path) -> bool:
    return not path.name.startswith(".")


def _is_loop(path: Path) -> bool:
    """Return True if a path is a link to a folder that it is in."""
    parent = path.parent.resolve()
    return path.is_symlink() and path.resolve() in (parent, *parent.parents)
