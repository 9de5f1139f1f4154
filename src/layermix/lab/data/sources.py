"""Data sources: `digits`, a decoded file, a data set of the hub, or a local file or folder.

To add a source, write a function that returns a `Source` and add it to `SOURCES`. Hub data sets,
files and folders are decoded once and cached as safetensors in ``$LAYERMIX_CACHE``; its default is
``$XDG_CACHE_HOME/layermix`` or ``~/.cache/layermix``. The cache may be deleted at any time.
"""

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from layermix.errors import InputError, unknown, warn
from layermix.lab.data.config import OF_SPLITS, DataConfig
from layermix.lab.data.data_files import require_columns
from layermix.lab.data.dataset import SPLITS, Dataset, Source, Split
from layermix.lab.data.decoded import read_source, write_source
from layermix.lab.data.hugging_face import load_tables
from layermix.lab.data.modalities import MODALITIES, READERS, ImageInputs
from layermix.lab.data.modalities.images import resize
from layermix.lab.data.modalities.texts import read_texts
from layermix.lab.data.split import (
    balanced,
    divide,
    split_entropy,
    three_way,
    with_label_noise,
)
from layermix.lab.data.table_columns import (
    INPUT_NAMES,
    columns_of_type,
    features_of,
    input_column,
    is_text,
    label_column,
    named_columns,
    read_labels,
    without_columns,
)

_CACHE_FORMAT = 5  # increase it if the format or the decoding of cached files changes
_COLUMNS = ("image_column", "text_column", "audio_column", "label_column", "drop_columns")
_COLUMNS += ("categorical_columns",)


def load(config: DataConfig, seed: int = 0) -> Dataset:
    """Load a data set and split it into training, validation and test examples, by the seed.

    An invalid source, column or size raises an `InputError`. An image or sound that cannot be read
    raises a `RunError`.
    """
    config.check()
    return split_source(_source(config, _split_seed(config, seed)), config, seed)


def decoded_source(config: DataConfig) -> Source | None:
    """Return the decoded data before they are split; None if they are built in."""
    config.check()
    return None if config.data in SOURCES else _source(config, None)


def _split_seed(config: DataConfig, seed: int) -> int | None:
    return None if config.fixed_split else seed


def split_source(source: Source, config: DataConfig, seed: int) -> Dataset:
    """Split decoded data into training, validation and test examples; see `load`."""
    split_seed = _split_seed(config, seed)
    if len(source.classes) < 2:
        raise InputError(
            f"the data have one class, {', '.join(map(repr, source.classes))}: name another "
            "--label-column, or add examples of another class"
        )
    if others := set(source.splits) - set(SPLITS):
        warn(f"the splits {sorted(others)} are not used: rename them to one of {list(SPLITS)}")
    data = three_way(source, config.train_size, split_seed).encoded()
    if not config.label_noise:
        return data
    entropy = split_entropy(split_seed)
    noisy = with_label_noise(data.train, config.label_noise, len(data.classes), entropy)
    return replace(data, train=noisy)


def digits(seed: int | None = None) -> Source:
    """Load the digits of scikit-learn: 1,797 images (1, 8, 8) of handwritten digits.

    They are a copy of the test set of the UCI ML hand-written digits (Alpaydin, Kaynak, 1998), with
    gray levels scaled to 0 to 255. 300 are for training, 300 for validation, 1,197 for test.
    """
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    images = torch.from_numpy(pixels).mul(255 / 16).round().to(torch.uint8).view(-1, 1, 8, 8)
    rest, splits = Split(images, torch.from_numpy(labels).long()), {}
    for name in ("train", "validation"):
        splits[name], rest = divide(rest, balanced(rest.labels, 300, 10, split_entropy(seed)))
    classes = tuple(map(str, range(10)))
    return Source({**splits, "test": rest}, classes, ImageInputs(flip=False))


SOURCES: dict[str, Callable[[int | None], Source]] = {"digits": digits}


def _source(config: DataConfig, seed: int | None) -> Source:
    path, read = Path(config.data), SOURCES.get(config.data)
    if path.suffix == ".safetensors":
        read = lambda _: read_source(path)  # noqa: E731
    if read is None and not path.exists() and "/" not in config.data:
        problem = str(unknown("data set", config.data, SOURCES))
        problem += "." * (not problem.endswith("?"))
        raise InputError(
            f"{problem} Or use a folder, a file, a hub id such as uoft-cs/cifar10, or a file "
            "NAME.safetensors"
        )
    if read is None:
        return _cached(config, path)
    for name in _COLUMNS:
        if value := getattr(config, name):
            raise InputError(
                f"{name} is {value!r}, but {config.data!r} has no columns: remove "
                f"--{name.replace('_', '-')}, or use another --data"
            )
    found = read(seed)
    config.check_used(found.modality.name, found.modality.noun)
    return found if config.image_size is None else _resized(found, config.image_size)


def _resized(source: Source, size: int) -> Source:
    splits = {n: Split(resize(s.inputs, size), s.labels) for n, s in source.splits.items()}
    return replace(source, splits=splits)


def _cached(config: DataConfig, path: Path) -> Source:
    key: dict = {k: v for k, v in asdict(config).items() if k not in OF_SPLITS}
    if files := file_states(config):
        key |= {"data": str(path.resolve()), "files": files}
    digest = hashlib.sha256(json.dumps([_CACHE_FORMAT, key], sort_keys=True).encode()).hexdigest()
    default = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "layermix"
    file = Path(os.environ.get("LAYERMIX_CACHE") or default) / f"{digest[:24]}.safetensors"
    if file.exists():
        return read_source(file)
    found = decode(config)
    write_source(found, file)
    return found


def file_states(config: DataConfig) -> tuple[tuple[str, int, int], ...]:
    """Return name, size and time of each file of a local source, which show if files changed."""
    path = Path(config.data)
    if config.data in SOURCES or not path.exists():
        return ()
    paths = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    stats = [(p, p.stat()) for p in paths]
    return tuple((os.path.relpath(p, path), s.st_size, s.st_mtime_ns) for p, s in stats)


def decode(config: DataConfig) -> Source:
    """Load and decode a data set of the hub, a folder or a file.

    By default, modality and columns are found by type and name. An image or sound that cannot be
    read raises a `RunError`; an invalid source, column or value raises an `InputError`.
    """
    tables, gaps = load_tables(config.data)
    label = label_column(tables, config.label_column)
    _require_inputs(tables, config, label)
    kind = find_modality(tables, config, label)
    config.check_used(kind, MODALITIES[kind].noun)
    # A table is read with its labels, which show if a column has them under other names.
    if kind == "table":
        others, used = tables, {gap.column for gap in gaps} - {*config.drop_columns}
    else:
        others = without_columns(tables, (label, *config.drop_columns))
        used = {label, input_column(features_of(others), kind, config)}
    require_columns(gaps, used)
    inputs, modality = READERS[kind](others, config)
    labels, classes = read_labels(tables, label)
    return Source({n: Split(inputs[n], labels[n]) for n in tables}, classes, modality)


def _require_inputs(tables: Mapping[str, Any], config: DataConfig, label: str) -> None:
    """Raise an `InputError` if all columns are dropped, or if labels are set to be inputs."""
    for name in _COLUMNS:
        value = getattr(config, name)
        if name != "label_column" and label in (value if isinstance(value, tuple) else (value,)):
            raise InputError(
                f"{name} is {value!r}, but {label!r} is the column of the labels: name another "
                "column, or another --label-column"
            )
    features = features_of(tables)
    for name in config.drop_columns:
        if name not in features:
            raise unknown("column", name, features)
    if features.keys() <= {label, *config.drop_columns}:
        dropped = f", and {list(config.drop_columns)} are dropped" if config.drop_columns else ""
        raise InputError(f"the only column is {label!r}, of the labels{dropped}: keep another one")


def kind_of(config: DataConfig) -> str:
    """Return the name of the modality of a data set."""
    if config.data in SOURCES:
        return SOURCES[config.data](None).modality.name
    if Path(config.data).suffix == ".safetensors":
        return read_source(config.data).modality.name
    tables, _ = load_tables(config.data)
    return find_modality(tables, config, label_column(tables, config.label_column))


def load_texts(
    source: str, text: str | None = None, label: str | None = None
) -> tuple[dict[str, tuple[list[str], Tensor]], tuple[str, ...]]:
    """Load texts and labels, int64 (N,), by split, and the class names.

    `text` and `label` are columns, which are found by type and name by default.
    """
    tables, gaps = load_tables(source)
    column, config = label_column(tables, label), DataConfig(source, text_column=text)
    others = without_columns(tables, (column,))
    require_columns(gaps, (column, input_column(features_of(others), "text", config)))
    texts = read_texts(others, config)
    labels, classes = read_labels(tables, column)
    return {name: (texts[name], labels[name]) for name in tables}, classes


def find_modality(tables: Mapping[str, Any], config: DataConfig, label: str) -> str:
    """Return the modality that is set, or that of the columns."""
    if config.modality != "auto":
        return config.modality
    features = features_of(tables)
    inputs = [name for name in features if name not in (label, *config.drop_columns)]
    texts = [name for name in inputs if is_text(features[name])]
    if config.image_column or columns_of_type(features, "Image"):
        return "image"
    if config.audio_column or columns_of_type(features, "Audio"):
        return "sound"
    if config.text_column or inputs == texts[:1] or set(INPUT_NAMES["text"]) & set(texts):
        return "text"
    if named_columns(features, INPUT_NAMES["image"]):
        return "image"
    return "sound" if named_columns(features, INPUT_NAMES["audio"]) else "table"
