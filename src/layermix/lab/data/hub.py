"""Any image data set of the Hugging Face hub's layout, read by `datasets`.

A hub id, a folder of parquet files, or a folder of images with one sub-folder for each class.
"""

import io
from pathlib import Path
from typing import Any

import numpy as np
import torch

from layermix.errors import InputError, RunError, unknown
from layermix.lab.data.dataset import Images, Split

_IMAGE_NAMES = ("img", "image")
_LABEL_NAMES = ("label", "labels", "fine_label")


def hub(
    source: str,
    image_column: str | None = None,
    label_column: str | None = None,
    image_size: int | None = None,
) -> Images:
    """Load and decode a data set.

    Parameters
    ----------
    source
        Hub id such as ``uoft-cs/cifar10``, or a local folder.
    image_column, label_column
        Names of the columns; found by type and name when left out.
    image_size
        Resize every image to this height and width, in pixels.

    Raises
    ------
    InputError
        For a source or column that does not exist, or images of different sizes.
    RunError
        For an image that cannot be read.
    """
    tables = _load(source)
    first = tables["train"] if "train" in tables else next(iter(tables.values()))
    image_column = image_column or _image_column(first.features)
    label_column = label_column or _label_column(first.features)
    for column in (image_column, label_column):
        if column not in first.features:
            raise unknown("column", column, first.features)
    splits = {
        name: _decode(table, name, image_column, label_column, image_size)
        for name, table in tables.items()
    }
    return Images(splits, _classes(first.features[label_column], splits))


def _load(source: str) -> dict[str, Any]:
    import datasets
    import huggingface_hub

    huggingface_hub.utils.logging.set_verbosity_error()
    datasets.utils.logging.set_verbosity_error()
    datasets.utils.logging.disable_progress_bar()
    if Path(source).exists() and not Path(source).is_dir():
        raise InputError(f"{source} is a file: name the folder that holds the data set")
    try:
        tables = datasets.load_dataset(source)
    except Exception as error:  # datasets raises a dozen kinds
        raise InputError(
            f"cannot load the data set {source!r}: {error}. Give 'digits', the id of a hub data "
            "set, a folder of parquet files, or a folder of images with a sub-folder per class"
        ) from error
    return {str(name): table for name, table in tables.items()}


def _image_column(features: Any) -> str:
    found = [name for name, kind in features.items() if type(kind).__name__ == "Image"]
    named = [name for name in _IMAGE_NAMES if name in features]
    return _only(found or named, features, "image")


def _label_column(features: Any) -> str:
    named = [name for name in _LABEL_NAMES if name in features]
    found = [name for name, kind in features.items() if type(kind).__name__ == "ClassLabel"]
    return _only(named[:1] or found, features, "label")


def _only(found: list[str], features: Any, what: str) -> str:
    if len(found) == 1:
        return found[0]
    raise InputError(
        f"cannot tell which of the columns {list(features)} is the {what}: "
        f"name it with --{what}-column"
    )


def _classes(kind: Any, splits: dict[str, Split]) -> tuple[str, ...]:
    names = getattr(kind, "names", None)
    if names:
        return tuple(names)
    highest = max(int(split.labels.max()) for split in splits.values())
    return tuple(str(label) for label in range(highest + 1))


def _decode(
    table: Any, split: str, image_column: str, label_column: str, image_size: int | None
) -> Split:
    from datasets import Image

    raw = table.select_columns([image_column])
    if type(table.features[image_column]).__name__ == "Image":
        raw = raw.cast_column(image_column, Image(decode=False))
    images = []
    for row, example in enumerate(raw):
        image = _image(example[image_column], f"row {row} of split {split!r}", image_size)
        if images and image.shape != images[0].shape:
            raise InputError(
                f"row {row} of split {split!r} has shape {image.shape}, but the rows before it "
                f"{images[0].shape}: resize all with --image-size"
            )
        images.append(image)
    stacked = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)  # (N, H, W, C) -> (N, C, H, W)
    return Split(stacked.contiguous(), _labels(table, split, label_column))


def _labels(table: Any, split: str, column: str) -> torch.Tensor:
    labels = np.asarray(table[column][:])
    if labels.dtype.kind not in "iu":
        raise InputError(
            f"column {column!r} of split {split!r} holds {labels.dtype} values, but labels must "
            "be integer classes: name another with --label-column"
        )
    return torch.from_numpy(labels.astype(np.int64))


def _image(value: Any, where: str, image_size: int | None) -> np.ndarray:
    """Return one image as uint8 (H, W, C), C = 1 for grey images and 3 otherwise."""
    from PIL import Image, UnidentifiedImageError

    if not isinstance(value, dict) or not {"bytes", "path"} & set(value):
        kind = np.asarray(value).dtype
        raise InputError(
            f"{where} holds {kind} values, but encoded images (uint8) are expected: name another "
            "column with --image-column"
        )
    try:
        image = Image.open(io.BytesIO(value["bytes"]) if value.get("bytes") else value["path"])
        image = image.convert("L" if image.mode in ("1", "L") else "RGB")
        if image_size is not None:
            image = image.resize((image_size, image_size), Image.Resampling.BICUBIC)
        pixels = np.asarray(image, dtype=np.uint8)
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        name = value.get("path") or "embedded in the table"
        raise RunError(
            f"cannot read the image at {where} ({name}): {error}. Repair it or take it out"
        ) from error
    return pixels[..., None] if pixels.ndim == 2 else pixels
