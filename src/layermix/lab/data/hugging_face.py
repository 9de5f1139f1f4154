"""Load tables from the Hugging Face hub, a folder or a file, with `datasets`.

A source is a hub id, a folder of parquet, CSV or JSON files, one such file, or a folder of images
or sounds with one subfolder for each class.
"""

import gc
import traceback
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from logging import CRITICAL
from pathlib import Path
from typing import Any

from layermix.errors import InputError
from layermix.lab.data.config import FILES
from layermix.lab.data.data_files import (
    SEPARATORS,
    AbsentColumn,
    check_folders,
    check_metadata,
    check_names,
    check_tables,
    separator,
    sets_files,
)
from layermix.lab.data.dataset import SPLITS, standard_split
from layermix.lab.data.table_columns import features_of
from layermix.lab.reasons import reason_of

_OTHER_SOUNDS = (".mp3", ".flac", ".ogg", ".m4a", ".aac", ".opus", ".aif", ".aiff")
_LOADERS = {".tsv": "csv", ".jsonl": "json"}  # of file suffixes; otherwise the suffix itself


def load_tables(source: str) -> tuple[dict[str, Any], list[AbsentColumn]]:
    """Load a data set; return its tables by split, and the columns that some splits lack."""
    path = Path(source)
    # Offline, datasets would take a cached data set of this name from any folder.
    local = path.is_absolute() or source.startswith((".", "~")) or "/" not in source
    if not source.strip() or (not path.exists() and local):
        raise _cannot_load(source, "there is no such folder or file")
    if path.is_file() and path.suffix.lower() not in FILES:
        raise InputError(f"{source} is a file, but not one of {', '.join(FILES)}: pass its folder")
    if path.exists():
        check_names(path)
    try:
        with _quiet():
            sounds = _sounds(path) if path.is_dir() else []
            tables, gaps = (_sound_tables(path, sounds), []) if sounds else _tables(source, path)
    except InputError:
        raise
    except Exception as error:  # datasets raises many types
        _close_files(error)
        raise _cannot_load(source, reason_of(error)) from error
    return {standard_split(str(name)): table for name, table in tables.items()}, gaps


@contextmanager
def _quiet() -> Iterator[None]:
    """Turn off the messages and progress bars of `datasets`, whose errors have the cause."""
    import datasets
    import huggingface_hub

    loggers = [datasets.utils.logging, huggingface_hub.utils.logging]
    before = [logger.get_verbosity() for logger in loggers]
    bars = datasets.utils.logging.is_progress_bar_enabled()
    datasets.utils.logging.disable_progress_bar()
    for logger in loggers:
        logger.set_verbosity(CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.set_verbosity(level)
        if bars:
            datasets.utils.logging.enable_progress_bar()


def _close_files(error: BaseException | None) -> None:
    """Close the files that `datasets` leaves open after an error, by removing its variables."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        while error:
            traceback.clear_frames(error.__traceback__)
            error = error.__cause__ or error.__context__
        gc.collect()


def _tables(source: str, path: Path) -> tuple[Mapping[str, Any], list[AbsentColumn]]:
    """Return the tables of a data set of the hub, of a file, or of a folder; see `load_tables`."""
    import datasets

    builder: Any
    suffix, full = path.suffix.lower(), str(path.resolve())
    if path.is_file():
        options: Any = {"sep": separator(path)} if suffix in SEPARATORS else {}
        loader = _LOADERS.get(suffix, suffix[1:])
        builder = datasets.load_dataset_builder(loader, data_files=full, **options)
    else:  # the full path of a folder, because datasets has loaders named "text" and "csv"
        builder = datasets.load_dataset_builder(full if path.is_dir() else source)
    found = (builder.config.data_files or {}) if path.exists() else {}
    parts = {standard_split(str(n)): [Path(file) for file in part] for n, part in found.items()}
    images, gaps = builder.name == "imagefolder", []
    files = [file for part in parts.values() for file in part if images]
    metadata = [f for f in files if f.stem == "metadata" and f.suffix in FILES]
    if metadata:
        check_metadata(metadata)
    elif images:
        if not sets_files(path):
            check_folders(path.resolve(), parts, builder.EXTENSIONS, "images")
    else:
        gaps = check_tables(parts, getattr(builder.config, "sep", ","))
    builder.download_and_prepare()
    tables: Any = builder.as_dataset()
    return tables, _empty_columns(tables) if builder.name == "json" else gaps


def _empty_columns(tables: Mapping[str, Any]) -> list[AbsentColumn]:
    """Return the columns that have values in some splits of JSON files, but not in all."""
    gaps = []
    for name in features_of(tables):
        absent = [n for n, t in tables.items() if t.data.column(name).null_count == len(t)]
        for split in absent if len(absent) < len(tables) else ():
            reason = f"the split {split!r} has no value in column {name!r}, but another split has"
            reason += ": add values, or remove the column"
            gaps.append(AbsentColumn(standard_split(str(split)), name, reason))
    return gaps


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

    parts: dict[str, list[Path]] = {}
    rows: dict[str, list[dict[str, Any]]] = {}
    for path in paths:
        *folders, _ = path.relative_to(folder).parts
        is_split = bool(folders) and standard_split(folders[0]) in SPLITS
        split = standard_split(folders[0]) if is_split else "train"
        if len(folders) == is_split:
            raise InputError(f"{path} is in no subfolder of a class: move it to one")
        parts.setdefault(split, []).append(path)
        sound = {"bytes": None, "path": str(path)}
        rows.setdefault(split, []).append({"audio": sound, "label": path.parent.name})
    check_folders(folder, parts, (".wav",), "sounds")
    return {split: Dataset.from_list(found) for split, found in rows.items()}


def _cannot_load(source: str, reason: str) -> InputError:
    return InputError(
        f"cannot load the data set {source!r}: {reason}. Use 'digits', the id of a hub data set, "
        f"a file ({', '.join(FILES)}), or a folder of such files, or of images or sounds with a "
        "subfolder for each class"
    )
