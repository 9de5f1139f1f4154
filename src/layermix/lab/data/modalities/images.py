"""Images: decoded to uint8, normalized by the mean and deviation of each channel.

Images have one channel if all of them are gray, otherwise they are RGB.

Shapes: N images, B batch, C channels, H height, W width.
"""

import io
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from layermix.errors import InputError, RunError
from layermix.lab.data.config import DataConfig
from layermix.lab.data.modality import Modality, Preprocess, map_arguments, shape_text
from layermix.lab.data.table_columns import encoded_rows, features_of, input_column
from layermix.lab.reasons import reason_of

if TYPE_CHECKING:
    from PIL.Image import Image

_RANGE = "their range is unknown. Convert the images to 8 or 16 bits"


@dataclass(frozen=True)
class MapInputs(Modality):
    """Maps (N, C, H, W), such as images and spectrograms, which are normalized."""

    default_model: ClassVar[str] = "resnet-small"
    default_optimizer: ClassVar[Literal["sgd", "adamw"]] = "sgd"

    def preprocessing(self, train: Tensor) -> Preprocess:
        """Return a `Normalize`, fitted to training maps."""
        return Normalize.of(train)

    def model_arguments(self, inputs: Tensor) -> dict[str, Any]:
        """Return the arguments with which a model is built."""
        return map_arguments(inputs.shape[1:])

    def default_augmentation(self, inputs: Tensor) -> tuple[int, bool]:
        """Return the default crop, an eighth of the smaller side; maps are not flipped."""
        return min(inputs.shape[2:]) // 8, False


@dataclass(frozen=True)
class ImageInputs(MapInputs):
    """Images, uint8 (N, C, H, W). `flip` is True if a mirror image has the same class."""

    flip: bool = True

    name: ClassVar[str] = "image"
    noun: ClassVar[str] = "images"

    def problem(self, inputs: Tensor) -> str | None:
        """Return the reason why inputs cannot be stored, or None."""
        if inputs.dtype != torch.uint8 or inputs.ndim != 4:
            return f"images must be uint8 of shape (N, C, H, W), but are {shape_text(inputs)}"
        return None

    def read_more(
        self, tables: Mapping[str, Any], config: DataConfig, shape: Sequence[int]
    ) -> dict[str, Tensor]:
        """Read other images, resized and with the channels of these."""
        found, _ = read_image_table(tables, config, (shape[1], shape[2]))
        return {name: self.fitted(images, shape) for name, images in found.items()}

    def fitted(self, images: Tensor, shape: Sequence[int]) -> Tensor:
        """Return images (N, C, H, W) with the shape of one of these: their size and channels."""
        channels, height, width = shape
        if images.shape[2:] != (height, width):
            images = resize(images, (height, width))
        if images.shape[1] == channels:
            return images
        gray = images.float().mean(1, keepdim=True).round().to(torch.uint8)
        return gray.expand(-1, channels, -1, -1)

    def default_augmentation(self, inputs: Tensor) -> tuple[int, bool]:
        """Return the default crop of maps, and the default of `flip`."""
        return super().default_augmentation(inputs)[0], self.flip


@dataclass(frozen=True, eq=False)
class Normalize:
    """Map images to floats with mean 0 and standard deviation 1 in each channel."""

    mean: Tensor
    std: Tensor

    @classmethod
    def of(cls, images: Tensor) -> "Normalize":
        """Create a `Normalize` with the exact mean and deviation of each channel, float32 (C,)."""
        exact = _mean_and_std_of_bytes if images.dtype == torch.uint8 else _mean_and_std
        stats = [exact(images[:, c]) for c in range(images.shape[1])]
        mean, std = torch.tensor(stats, dtype=torch.float32, device=images.device).unbind(1)
        return cls(mean, std)

    def __call__(self, images: Tensor) -> Tensor:
        """Normalize images (B, C, H, W) to float32."""
        mean, std = self.mean.view(-1, 1, 1), self.std.view(-1, 1, 1)
        return images.to(torch.float32, copy=True).sub_(mean).div_(std)


def _mean_and_std_of_bytes(channel: Tensor) -> tuple[float, float]:
    """Return the mean and sample standard deviation of one image channel, uint8 (N, H, W)."""
    counts = channel.flatten().cpu().bincount(minlength=256).tolist()
    n = sum(counts)
    total = sum(count * level for level, count in enumerate(counts))
    squares = sum(count * level**2 for level, count in enumerate(counts))
    variance = (n * squares - total**2) / (n * max(1, n - 1))  # integers up to here
    return total / n, max(1.0, math.sqrt(variance))  # a constant channel stays constant


def _mean_and_std(channel: Tensor) -> tuple[float, float]:
    std, mean = torch.std_mean(channel.double())
    return float(mean), float(std) if float(std) > 0 else 1.0


def read_image_table(
    tables: Mapping[str, Any], config: DataConfig, size: tuple[int, int] | None = None
) -> tuple[dict[str, Tensor], ImageInputs]:
    """Decode the images of each split, resized to a height and width if `size` is given.

    Returns them with their modality. The default of `size` is the `image_size` of the settings.
    """
    if size is None and config.image_size is not None:
        size = (config.image_size, config.image_size)
    column = input_column(features_of(tables), "image", config)
    images = {n: _decode(table, n, column, size) for n, table in tables.items()}
    gray = all(image.ndim == 2 for split in images.values() for image in split)
    return {name: _stack(split, gray) for name, split in images.items()}, ImageInputs()


def resize(images: Tensor, size: int | tuple[int, int]) -> Tensor:
    """Resize uint8 images (N, C, H, W) to a height and width, bicubic with antialiasing."""
    sides = (size, size) if isinstance(size, int) else size
    resized = F.interpolate(images.float(), sides, mode="bicubic", antialias=True)
    return resized.round().clamp(0, 255).to(torch.uint8)


def _decode(table: Any, split: str, column: str, size: tuple[int, int] | None) -> list[np.ndarray]:
    """Return the images of a split: uint8 (H, W) for gray images, else (H, W, 3)."""
    images = []
    for row, value in enumerate(encoded_rows(table, column)):
        image = _decode_one(value, f"row {row} of split {split!r}", size)
        if images and image.shape[:2] != images[0].shape[:2]:
            raise InputError(
                f"row {row} of split {split!r} has height and width {image.shape[:2]}, but earlier "
                f"rows have {images[0].shape[:2]}: resize all with --image-size"
            )
        images.append(image)
    if not images:
        raise InputError(f"the split {split!r} has no images")
    return images


def _decode_one(value: Any, where: str, size: tuple[int, int] | None) -> np.ndarray:
    from PIL import Image, UnidentifiedImageError

    if not isinstance(value, dict) or not {"bytes", "path"} & set(value):
        raise InputError(
            f"{where} has {np.asarray(value).dtype} values, but must have encoded images (uint8): "
            "use another column with --image-column"
        )
    name = value.get("path") or "embedded in the table"
    if not (file := io.BytesIO(value["bytes"]) if value.get("bytes") else value.get("path")):
        raise InputError(
            f"{where} has an image without bytes and path: add its bytes, or remove it"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            opened = Image.open(file)
        with opened:
            image = eight_bits(opened, where)
            if size is not None:
                height, width = size
                image = image.resize((width, height), Image.Resampling.BICUBIC)
            return np.asarray(image, dtype=np.uint8)
    except InputError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InputError(
            f"the image at {where} ({name}) has more than {Image.MAX_IMAGE_PIXELS:,} pixels: save "
            "it with fewer pixels, or remove it"
        ) from error
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise RunError(
            f"cannot read the image at {where} ({name}): {reason_of(error)}. Repair or remove it"
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
        if 0 < pixels.max() < 1 << 12:
            raise InputError(
                f"{where} has 16-bit pixels up to {pixels.max()}, which would become few gray "
                "levels: save the images with 8 bits, or scale them to 65,535"
            )
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
