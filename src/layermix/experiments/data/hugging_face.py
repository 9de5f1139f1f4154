"""Load image and text data sets from the Hugging Face hub or a folder, with `datasets`.

A source is a hub id, a folder of parquet, CSV or JSON files, or a folder of images with one
subfolder for each class. Images are decoded to 8 bits, with one channel if all images are gray,
otherwise to RGB.

Shapes: N examples, C channels, H height, W width.
"""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from layermix.errors import InputError, RunError, unknown
from layermix.experiments.data.dataset import Images, Split, encode_labels

if TYPE_CHECKING:
    from PIL.Image import Image

_IMAGE_NAMES = ("img", "image")
_LABEL_NAMES = ("label", "labels", "fine_label")
_TEXT_NAMES = ("text", "sentence", "content")
_STRINGS = ("string", "large_string", "string_view")
_RANGE = "their range is unknown. Convert the images to 8 or 16 bits"


def load_images(
    source: str,
    image_column: str | None = None,
    label_column: str | None = None,
    image_size: int | None = None,
) -> Images:
    """Load and decode a data set of images; resize them to `image_size` pixels if it is given.

    By default, columns are found by type and name. If an image cannot be read, a `RunError` is
    raised. An invalid source, column or image raises an `InputError`.
    """
    tables = load_tables(source)
    features = (tables["train"] if "train" in tables else next(iter(tables.values()))).features
    found = _of_type(features, "Image") or _named(features, _IMAGE_NAMES)
    if not found and not image_column:
        raise InputError(
            f"none of the columns {list(features)} of {source!r} has images, which studies need: "
            "name the column with --image-column"
        )
    column = _column(features, image_column, found, "image")
    labels, classes = _labels(tables, features, label_column)
    images = {name: _decode(table, name, column, image_size) for name, table in tables.items()}
    gray = all(image.ndim == 2 for split in images.values() for image in split)
    return Images({n: Split(_stack(images[n], gray), labels[n]) for n in tables}, classes)


def load_texts(
    source: str, text_column: str | None = None, label_column: str | None = None
) -> tuple[dict[str, tuple[list[str], Tensor]], tuple[str, ...]]:
    """Load a data set of texts: its texts and labels, int64 (N,), by split, and the class names.

    By default, columns are found by type and name.
    """
    tables = load_tables(source)
    features = next(iter(tables.values())).features
    strings = [name for name, kind in features.items() if getattr(kind, "dtype", "") in _STRINGS]
    found = [name for name in _named(features, _TEXT_NAMES) if name in strings][:1] or strings
    column = _column(features, text_column, found, "text")
    labels, classes = _labels(tables, features, label_column)
    texts = {name: [str(text) for text in table[column]] for name, table in tables.items()}
    return {name: (texts[name], labels[name]) for name in tables}, classes


def load_tables(source: str) -> dict[str, Any]:
    """Load a data set; return its tables by split."""
    import datasets
    import huggingface_hub

    huggingface_hub.utils.logging.set_verbosity_error()
    datasets.utils.logging.set_verbosity_error()
    datasets.utils.logging.disable_progress_bar()
    folder = Path(source)
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{source} is a file: pass the folder of the data set")
    if not folder.exists() and (folder.is_absolute() or source.startswith((".", "~"))):
        raise _cannot_load(source, "there is no such folder")
    try:
        # Use the full path of a folder, because datasets has loaders named "text" and "csv".
        tables = datasets.load_dataset(str(folder.resolve()) if folder.is_dir() else source)
    except Exception as error:  # datasets raises many types
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise _cannot_load(source, lines[0].rstrip(" .:")) from error
    return {str(name): table for name, table in tables.items()}


def _cannot_load(source: str, reason: str) -> InputError:
    return InputError(
        f"cannot load the data set {source!r}: {reason}. Use 'digits', the id of a hub data set, "
        "a folder of parquet files, or a folder of images with a subfolder for each class"
    )


def has_images(source: str) -> bool:
    """Return True if a data set has an image column."""
    features = next(iter(load_tables(source).values())).features
    return bool(_of_type(features, "Image") or _named(features, _IMAGE_NAMES))


def _of_type(features: Any, kind: str) -> list[str]:
    return [name for name, feature in features.items() if type(feature).__name__ == kind]


def _named(features: Any, names: tuple[str, ...]) -> list[str]:
    return [name for name in names if name in features]


def _column(features: Any, given: str | None, found: list[str], content: str) -> str:
    """Return the column that the user has `given`, or else the only candidate in `found`."""
    if given is not None and given not in features:
        raise unknown("column", given, features)
    if given is None and len(found) != 1:
        raise InputError(
            f"it is not clear which of the columns {list(features)} is the {content}: "
            f"name it with --{content}-column"
        )
    return given or found[0]


def _labels(
    tables: Mapping[str, Any], features: Any, column: str | None
) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    found = _named(features, _LABEL_NAMES)[:1] or _of_type(features, "ClassLabel")
    column = _column(features, column, found, "label")
    try:
        labels, classes = encode_labels({n: np.asarray(t[column][:]) for n, t in tables.items()})
    except InputError as error:
        raise InputError(
            f"column {column!r}: {error}, or use another column with --label-column"
        ) from error
    return labels, tuple(getattr(features[column], "names", None) or classes)


def _decode(table: Any, split: str, column: str, image_size: int | None) -> list[np.ndarray]:
    """Return the images of a split: uint8 (H, W) for gray images, else (H, W, 3)."""
    from datasets import Image

    table = table.select_columns([column])
    if type(table.features[column]).__name__ == "Image":
        table = table.cast_column(column, Image(decode=False))
    images = []
    for row, example in enumerate(table):
        image = _decode_one(example[column], f"row {row} of split {split!r}", image_size)
        if images and image.shape[:2] != images[0].shape[:2]:
            raise InputError(
                f"row {row} of split {split!r} has height and width {image.shape[:2]}, but earlier "
                f"rows have {images[0].shape[:2]}: resize all with --image-size"
            )
        images.append(image)
    if not images:
        raise InputError(f"the split {split!r} has no images")
    return images


def _decode_one(value: Any, where: str, image_size: int | None) -> np.ndarray:
    from PIL import Image, UnidentifiedImageError

    if not isinstance(value, dict) or not {"bytes", "path"} & set(value):
        raise InputError(
            f"{where} has {np.asarray(value).dtype} values, but must have encoded images (uint8): "
            "use another column with --image-column"
        )
    try:
        image = Image.open(io.BytesIO(value["bytes"]) if value.get("bytes") else value["path"])
        image = eight_bits(image, where)
        if image_size is not None:
            image = image.resize((image_size, image_size), Image.Resampling.BICUBIC)
        return np.asarray(image, dtype=np.uint8)
    except InputError:
        raise
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        name = value.get("path") or "embedded in the table"
        raise RunError(
            f"cannot read the image at {where} ({name}): {error}. Repair or remove it"
        ) from error


def eight_bits(image: "Image", where: str) -> "Image":
    """Convert an image to 8 bits: to mode L if it is gray, else to RGB, without transparency.

    16-bit pixels are divided by 257 and rounded, so that white remains white. Floating-point
    pixels, or 32-bit pixels outside the 16-bit range, raise an `InputError` that names `where`.
    """
    from PIL import Image

    if image.mode.startswith("I"):
        pixels = np.asarray(image)
        if image.mode == "I" and image.format not in ("PNG", "PPM"):  # those have at most 16 bits
            low, high = int(pixels.min()), int(pixels.max())
            if low < 0 or not 255 < high < 1 << 16:
                raise InputError(f"{where} has 32-bit pixels from {low} to {high}: {_RANGE}")
        return Image.fromarray(((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8))
    if image.mode == "F":
        raise InputError(f"{where} has floating-point pixels: {_RANGE}")
    if image.mode in ("1", "L", "LA"):
        return image.convert("L")
    # Pillow warns if a palette with transparent colors is converted directly to RGB.
    return (image.convert("RGBA") if image.mode == "P" else image).convert("RGB")


def _stack(images: list[np.ndarray], gray: bool) -> Tensor:
    """Stack images into one tensor: (N, 1, H, W) if `gray`, else (N, 3, H, W)."""
    if gray:
        return torch.from_numpy(np.stack(images)).unsqueeze(1)
    color = [np.stack([image] * 3, 2) if image.ndim == 2 else image for image in images]
    return torch.from_numpy(np.stack(color)).permute(0, 3, 1, 2).contiguous()
