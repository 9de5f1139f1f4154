"""Checks of the files of a data set, before `datasets` reads them.

`datasets` fills a column that a file lacks with missing values, renames the second of two columns
of one name, and ends the process at a JSON file of ``null``.
"""

import csv
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from layermix.errors import InputError
from layermix.lab.reasons import reason_of

SEPARATORS = {".csv": ",;\t", ".tsv": "\t;,"}
"""Separators by the suffix of a file; if several are equally frequent, the first one is used."""
_FILE_NAMES = ("file_name", "file_names")


def separator(path: Path) -> str:
    """Return the separator of a CSV or TSV file, which is that most frequent in the first line."""
    with path.open(encoding="utf-8-sig", errors="replace") as lines:
        head = lines.readline()
    return max(SEPARATORS[path.suffix.lower()], key=head.count)


def check_tables(files: Iterable[Path], sep: str) -> None:
    """Raise an `InputError` if files cannot be tables of one data set.

    CSV files, whose columns are divided by `sep`, and parquet files need the same columns, each
    with a name of its own, and JSON files a list or an object.
    """
    first: tuple[Path, Sequence[str]] | None = None
    for path in files:
        if path.suffix.lower() in (".json", ".jsonl"):
            _check_json(path)
        if (columns := _columns(path, sep)) is None:
            continue
        twice = [name for name, count in Counter(columns).items() if count > 1 and name]
        if twice:
            raise InputError(f"{path} has two columns {twice[0]!r}: rename or remove one")
        first = first or (path, columns)
        for has, lacks in (((path, columns), first), (first, (path, columns))):
            if more := set(has[1]) - set(lacks[1]):
                raise InputError(
                    f"{has[0]} has a column {min(more)!r}, which {lacks[0]} lacks: all files need "
                    "the same columns"
                )


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
    return found


def check_names(root: Path) -> None:
    """Raise an `InputError` if the path of a file or folder is not UTF-8, which Arrow needs."""
    for path in (root, *root.rglob("*")):
        try:
            str(path).encode()
        except UnicodeEncodeError as error:
            raise InputError(f"the name {os.fsencode(path)!r} is not UTF-8: rename it") from error


def check_folders(root: Path, files: Sequence[Path], noun: str) -> None:
    """Raise an `InputError` if a folder below `root` has none of the `files` that are read.

    Hidden folders need no such files. Links to a folder that they are in are ignored.
    """
    used = {folder for path in files for folder in path.parents}
    kinds = {path.suffix for path in files}
    for path in sorted(root.rglob("*")):
        if not path.is_dir() or path in used or _is_loop(path):
            continue
        name = path.relative_to(root)
        hidden = any(part.startswith((".", "__")) for part in name.parts)
        if not hidden or any(p.suffix in kinds and p.stem[0] != "." for p in path.iterdir()):
            raise InputError(
                f"{noun} of the folder {str(name)!r} in {root} are not found: add some, rename it "
                "(without a dot at the start or a line break), or remove it"
            )


def _is_loop(path: Path) -> bool:
    """Return True if a path is a link to a folder that it is in."""
    parent = path.parent.resolve()
    return path.is_symlink() and path.resolve() in (parent, *parent.parents)
