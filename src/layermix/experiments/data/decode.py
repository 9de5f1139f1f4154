"""Decode images of every kind to 8 bits: one channel if all of a data set is grey, else RGB.

Shapes: N images, C channels, H height, W width.
"""

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from layermix.errors import InputError, RunError

if TYPE_CHECKING:
    from PIL.Image import Image


def decode(tables: Mapping[str, Any], column: str, image_size: int | None) -> dict[str, Tensor]:
    """Decode the images of all splits.

    Parameters
    ----------
    tables
        Tables of `datasets`, by split.
    column
        Name of the column of encoded images.
    image_size
        Resize every image to this height and width, in pixels.

    Returns
    -------
    dict
        uint8 (N, C, H, W) by split; C is 1 if every image of every split is grey, 3 otherwise.

    Raises
    ------
    InputError
        For pixels whose range cannot be told, or a split that is empty or has images of
        different sizes.
    RunError
        For an image that cannot be read.
    """
    splits = {name: _images(table, name, column, image_size) for name, table in tables.items()}
    grey = all(image.ndim == 2 for images in splits.values() for image in images)
    return {name: _stack(images, grey) for name, images in splits.items()}


def eight_bits(image: "Image", where: str) -> "Image":
    """Return an image in mode L if it is grey and RGB otherwise, without transparency.

    Pixels of 16 bits are divided by 257 and rounded, so that white stays white.

    Parameters
    ----------
    image
        Any image of Pillow.
    where
        Where it was found, for the error.

    Raises
    ------
    InputError
        For pixels of 32 bits whose range cannot be told.
    """
    from PIL import Image

    if image.mode.startswith("I"):
        pixels = np.asarray(image)
        if image.mode == "I" and image.format not in ("PNG", "PPM"):  # those have 16 bits at most
            _require_16_bits(pixels, where)
        return Image.fromarray(((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8))
    if image.mode == "F":
        raise InputError(f"{where} has floating-point pixels: {_REMEDY}")
    if image.mode in ("1", "L", "LA"):
        return image.convert("L")
    if image.mode == "P":
        image = image.convert("RGBA")  # straight to RGB warns of transparent colours
    return image.convert("RGB")


_REMEDY = "their range cannot be told, convert the images to 8 or 16 bits"


def _require_16_bits(pixels: np.ndarray, where: str) -> None:
    low, high = int(pixels.min()), int(pixels.max())
    if low < 0 or not 255 < high < 1 << 16:
        raise InputError(f"{where} has 32-bit pixels from {low} to {high}: {_REMEDY}")


def _images(table: Any, split: str, column: str, image_size: int | None) -> list[np.ndarray]:
    """Return the images of a split, each uint8 (H, W) if it is grey and (H, W, 3) otherwise."""
    from datasets import Image

    raw = table.select_columns([column])
    if type(table.features[column]).__name__ == "Image":
        raw = raw.cast_column(column, Image(decode=False))
    images = []
    for row, example in enumerate(raw):
        image = _image(example[column], f"row {row} of split {split!r}", image_size)
        if images and image.shape[:2] != images[0].shape[:2]:
            raise InputError(
                f"row {row} of split {split!r} has height and width {image.shape[:2]}, but the "
                f"rows before it {images[0].shape[:2]}: resize all with --image-size"
            )
        images.append(image)
    if not images:
        raise InputError(f"the split {split!r} has no images")
    return images


def _stack(images: list[np.ndarray], grey: bool) -> Tensor:
    if grey:
        return torch.from_numpy(np.stack(images)).unsqueeze(1)
    colour = [np.stack([image] * 3, 2) if image.ndim == 2 else image for image in images]
    return torch.from_numpy(np.stack(colour)).permute(0, 3, 1, 2).contiguous()


def _image(value: Any, where: str, image_size: int | None) -> np.ndarray:
    from PIL import Image, UnidentifiedImageError

    if not isinstance(value, dict) or not {"bytes", "path"} & set(value):
        kind = np.asarray(value).dtype
        raise InputError(
            f"{where} holds {kind} values, but encoded images (uint8) are expected: name another "
            "column with --image-column"
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
            f"cannot read the image at {where} ({name}): {error}. Repair it or take it out"
        ) from error
