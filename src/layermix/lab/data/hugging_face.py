"""Load tables from the Hugging Face hub, a folder or a file, with `datasets`; find their columns.

A source is a hub id, a folder of parquet, CSV or JSON files, one such file, or a folder of images
or sounds with one subfolder for each class.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from layermix.errors import InputError, unknown
from layermix.lab.data.config import FILES
from layermix.lab.data.dataset import SPLITS, encode_labels, standard_split

_OTHER_SOUNDS = (".mp3", ".flac", ".ogg", ".m4a", ".aac", ".opus", ".aif", ".aiff")
LABEL_NAMES = ("label", "labels", "fine_label", "target", "class")
_LOADERS = {".tsv": "csv", ".jsonl": "json"}  # of file suffixes; otherwise the suffix itself


def load_tables(source: str) -> dict[str, Any]:
    """Load a data set; return its tables by split."""
    import datasets
    import huggingface_hub

    huggingface_hub.utils.logging.set_verbosity_error()
    datasets.utils.logging.set_verbosity_error()
    datasets.utils.logging.disable_progress_bar()
    path = Path(source)
    # Offline, datasets would take a cached data set of this name from any folder.
    local = path.is_absolute() or source.startswith((".", "~")) or "/" not in source
    if not path.exists() and local:
        raise _cannot_load(source, "there is no such folder or file")
    suffix, full = path.suffix.lower(), str(path.resolve())
    if path.is_file() and suffix not in FILES:
        raise InputError(f"{source} is a file, but not one of {', '.join(FILES)}: pass its folder")
    try:
        if path.is_dir() and (sounds := _sounds(path)):
            return _sound_tables(path, sounds)
        if path.is_file():
            options: Any = {"sep": _separator(path)} if suffix in (".csv", ".tsv") else {}
            loader = _LOADERS.get(suffix, suffix[1:])
            tables: Any = datasets.load_dataset(loader, data_files=full, **options)
        else:  # the full path of a folder, because datasets has loaders named "text" and "csv"
            tables = datasets.load_dataset(full if path.is_dir() else source)
    except InputError:
        raise
    except Exception as error:  # datasets raises many types
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise _cannot_load(source, lines[0].rstrip(" .:")) from error
    return {standard_split(str(name)): table for name, table in tables.items()}


def _separator(path: Path) -> str:
    """Return the separator of a CSV or TSV file, which is that most frequent in the first line."""
    with path.open(encoding="utf-8-sig", errors="replace") as lines:
        head = lines.readline()
    return max("\t;," if path.suffix.lower() == ".tsv" else ",;\t", key=head.count)


def _sounds(folder: Path) -> list[Path]:
    """Return the WAV files of a folder of sounds; empty for a folder of tables or images."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    sounds = [path for path in files if path.suffix.lower() == ".wav"]
    others = [path for path in files if path.suffix.lower() in _OTHER_SOUNDS]
    tables = [path for path in folder.iterdir() if path.suffix.lower() in FILES]
    if sounds and tables and not any(path.stem == "metadata" for path in tables):
        return []
    if sounds and (others or tables):
        raise InputError(
            f"{folder} has WAV files and {(others or tables)[0].name}, which cannot be read: use "
            "WAV files alone, with a subfolder for each class"
        )
    return sounds


def _sound_tables(folder: Path, paths: Sequence[Path]) -> dict[str, Any]:
    """Return the tables of a folder of sounds, whose classes are the names of their folders.

    Splits are folders such as ``train`` and ``test``; without them, all is ``train``. `datasets`
    reads such folders only with a library that encodes sounds.
    """
    from datasets import Dataset

    rows: dict[str, list[dict[str, Any]]] = {}
    for path in paths:
        *folders, _ = path.relative_to(folder).parts
        is_split = bool(folders) and standard_split(folders[0]) in SPLITS
        split = standard_split(folders[0]) if is_split else "train"
        if len(folders) == is_split:
            raise InputError(f"{path} is in no subfolder of a class: move it to one")
        sound = {"bytes": None, "path": str(path)}
        rows.setdefault(split, []).append({"audio": sound, "label": path.parent.name})
    return {split: Dataset.from_list(found) for split, found in rows.items()}


def _cannot_load(source: str, reason: str) -> InputError:
    return InputError(
        f"cannot load the data set {source!r}: {reason}. Use 'digits', the id of a hub data set, "
        f"a file ({', '.join(FILES)}), or a folder of such files, or of images or sounds with a "
        "subfolder for each class"
    )


def features_of(tables: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the columns of a data set, with their types."""
    return (tables["train"] if "train" in tables else next(iter(tables.values()))).features


def columns_of_type(features: Mapping[str, Any], kind: str) -> list[str]:
    """Return the columns whose feature type is `kind`, such as ``"Image"``."""
    return [name for name, feature in features.items() if type(feature).__name__ == kind]


def named_columns(features: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    """Return those of the names that are columns."""
    return [name for name in names if name in features]


def is_text(feature: Any) -> bool:
    """Return True if a column has strings."""
    return getattr(feature, "dtype", "") in ("string", "large_string", "string_view")


def encoded_rows(table: Any, column: str) -> Iterator[Any]:
    """Yield the values of a column, without decoding its images or sounds."""
    table = table.select_columns([column])
    kind = type(table.features[column])
    if kind.__name__ in ("Audio", "Image"):
        table = table.cast_column(column, kind(decode=False))
    return (row[column] for row in table)


def column_of(
    features: Mapping[str, Any], given: str | None, found: Sequence[str], content: str
) -> str:
    """Return the column that the user has `given`, or else the only candidate in `found`."""
    if given is not None and given not in features:
        raise unknown("column", given, features)
    if given is None and len(found) != 1:
        among = list(found or features)
        raise InputError(
            f"it is not clear which of the columns {among} is the {content}: name it with "
            f"--{content}-column"
        )
    return given or found[0]


def label_column(tables: Mapping[str, Any], given: str | None) -> str:
    """Return the column of the labels."""
    features = features_of(tables)
    classes = columns_of_type(features, "ClassLabel")
    found = named_columns(features, LABEL_NAMES) or classes
    if len(found) > 1:
        found = [name for name in found if name in classes] or found
    return column_of(features, given, found, "label")


def read_labels(
    tables: Mapping[str, Any], column: str
) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Return the labels of each split as integer classes, int64 (N,), and the class names."""
    names = getattr(features_of(tables)[column], "names", None)
    try:
        return encode_labels({n: np.asarray(t[column][:]) for n, t in tables.items()}, names)
    except InputError as error:
        raise InputError(
            f"column {column!r}: {error}, or use another column with --label-column"
        ) from error
