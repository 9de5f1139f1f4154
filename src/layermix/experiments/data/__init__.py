"""Data: `digits`, any image data set of the hub's layout, or a local folder of one.

A new source is a file with a function that returns `Images`, and a line in `SOURCES`.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from layermix.errors import InputError, unknown
from layermix.experiments.data.augment import Normalise, crop_and_flip
from layermix.experiments.data.batches import Batches
from layermix.experiments.data.cache import cached, folder_state, read_images, write_images
from layermix.experiments.data.dataset import Dataset, Images, Split
from layermix.experiments.data.digits import digits
from layermix.experiments.data.hub import hub
from layermix.experiments.data.labels import encode_labels
from layermix.experiments.data.measured import adapt_batch, watch_batch
from layermix.experiments.data.split import balanced, three_way

__all__ = [
    "Batches",
    "DataConfig",
    "Dataset",
    "Images",
    "Normalise",
    "Split",
    "adapt_batch",
    "balanced",
    "crop_and_flip",
    "default_augmentation",
    "encode_labels",
    "load",
    "read_images",
    "watch_batch",
    "write_images",
]

SOURCES: dict[str, Callable[[], Images]] = {"digits": digits}

_NOT_MIRRORED = {"digits"}


@dataclass(frozen=True)
class DataConfig:
    """Which images to train on."""

    data: str = "digits"
    """`digits`, a hub id such as `uoft-cs/cifar10`, a folder of parquet files or images, or a
    decoded data set, NAME.safetensors."""
    train_size: int | None = None
    """Number of training images, class-balanced, or stratified if a class has too few; all when
    left out."""
    image_size: int | None = None
    """Resize every image to this height and width in pixels."""
    image_column: str | None = None
    """Column of the images, where it cannot be told."""
    label_column: str | None = None
    """Column of the labels, where it cannot be told."""

    @property
    def short(self) -> str:
        """The last part of the source's name, for a folder of results."""
        return Path(self.data).name.removesuffix(".safetensors") or "study"


def load(config: DataConfig) -> Dataset:
    """Load a data set, decoded at most once on this machine, and split it three ways.

    Raises
    ------
    InputError
        For a source, column or size that cannot be had, and what `three_way` refuses.
    RunError
        For an image that cannot be read.
    """
    if config.image_size is not None and config.image_size < 1:
        raise InputError(f"image_size is {config.image_size}, but must be 1 or more")
    return three_way(_images(config), config.train_size)


def default_augmentation(config: DataConfig, width: int) -> tuple[int, bool]:
    """Return (crop, flip) that suit a source: an eighth of the width, mirrored unless digits."""
    return width // 8, config.data not in _NOT_MIRRORED


def _images(config: DataConfig) -> Images:
    folder = Path(config.data)
    if config.data in SOURCES:
        return _as_they_are(config, "is built in", SOURCES[config.data])
    if folder.suffix == ".safetensors":
        return _as_they_are(config, "is decoded", lambda: read_images(folder))
    if not folder.exists() and "/" not in config.data:
        raise InputError(
            f"{unknown('data set', config.data, SOURCES)} Or name a folder, a hub id such as "
            "uoft-cs/cifar10, or a file NAME.safetensors"
        )
    key: dict = {k: v for k, v in asdict(config).items() if k != "train_size"}
    if folder.is_dir():
        key |= {"data": str(folder.resolve()), "files": folder_state(folder)}
    columns = (config.image_column, config.label_column)
    return cached(key, lambda: hub(config.data, *columns, config.image_size))


def _as_they_are(config: DataConfig, why: str, read: Callable[[], Images]) -> Images:
    for flag in ("image_column", "label_column"):
        if value := getattr(config, flag):
            raise InputError(
                f"{flag} is {value!r}, but {config.data!r} {why} and has no columns: leave "
                f"out --{flag.replace('_', '-')}, or name another --data"
            )
    images = read()
    return images if config.image_size is None else images.resized(config.image_size)
