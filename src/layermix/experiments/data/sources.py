"""Data sources: `digits`, a decoded file, a data set of the hub, or a local folder.

To add a source, write a function that returns `Images` and add it to `SOURCES`. Hub data sets and
folders are decoded once and cached as safetensors in ``$LAYERMIX_CACHE``; its default is
``$XDG_CACHE_HOME/layermix`` or ``~/.cache/layermix``. The cache may be deleted at any time.
"""

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch

from layermix.errors import InputError, unknown
from layermix.experiments.data.dataset import Dataset, Images, Split
from layermix.experiments.data.hugging_face import load_images
from layermix.experiments.data.split import (
    balanced,
    divide,
    split_entropy,
    three_way,
    with_label_noise,
)

_CACHE_FORMAT = 2  # increase it if the format or the decoding of cached files changes


@dataclass(frozen=True)
class DataConfig:
    """Settings of the training data."""

    data: str = "digits"
    """`digits`, a hub id such as `uoft-cs/cifar10`, a folder of parquet files or images, or a
    decoded data set, NAME.safetensors."""
    train_size: int | None = None
    """Number of training images, balanced over the classes, or stratified if a class has too few;
    all by default."""
    image_size: int | None = None
    """Resize every image to this height and width in pixels."""
    image_column: str | None = None
    """Column of the images; found by type and name by default."""
    label_column: str | None = None
    """Column of the labels; found by type and name by default."""
    fixed_split: bool = False
    """Use one split for all seeds. By default, each seed draws its own training and validation
    images, and test images if the source has no test split."""

    label_noise: float = 0.0
    """Share of training images whose label is replaced by a random other class."""

    @property
    def short(self) -> str:
        """The last part of the source's name, used for the output folder."""
        return Path(self.data).name.removesuffix(".safetensors") or "study"


def load(config: DataConfig, seed: int = 0) -> Dataset:
    """Load a data set and split it into training, validation and test images, by the seed.

    An invalid source, column or size raises an `InputError`. An image that cannot be read raises a
    `RunError`.
    """
    if config.image_size is not None and config.image_size < 1:
        raise InputError(f"image_size is {config.image_size}, but must be 1 or more")
    if not 0 <= config.label_noise < 1:
        raise InputError(f"label_noise is {config.label_noise}, but must be in [0, 1)")
    split_seed = None if config.fixed_split else seed
    data = three_way(_images(config, split_seed), config.train_size, split_seed)
    if not config.label_noise:
        return data
    entropy = split_entropy(split_seed)
    noisy = with_label_noise(data.train, config.label_noise, len(data.classes), entropy)
    return replace(data, train=noisy)


def digits(seed: int | None = None) -> Images:
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
    return Images({**splits, "test": rest}, tuple(map(str, range(10))))


SOURCES: dict[str, Callable[[int | None], Images]] = {"digits": digits}
_NOT_FLIPPED = {"digits"}
_OF_SPLITS = ("train_size", "fixed_split", "label_noise")  # settings that do not change the images


def default_augmentation(config: DataConfig, width: int) -> tuple[int, bool]:
    """Return the default crop (an eighth of the image width) and flip (True except for digits)."""
    return width // 8, config.data not in _NOT_FLIPPED


def _images(config: DataConfig, seed: int | None) -> Images:
    path, read = Path(config.data), SOURCES.get(config.data)
    if path.suffix == ".safetensors":
        read = lambda _: read_images(path)  # noqa: E731
    if read is None and not path.exists() and "/" not in config.data:
        raise InputError(
            f"{unknown('data set', config.data, SOURCES)} Or use a folder, a hub id such as "
            "uoft-cs/cifar10, or a file NAME.safetensors"
        )
    if read is None:
        return _cached(config, path)
    for name in ("image_column", "label_column"):
        if value := getattr(config, name):
            raise InputError(
                f"{name} is {value!r}, but {config.data!r} has no columns: remove "
                f"--{name.replace('_', '-')}, or use another --data"
            )
    images = read(seed)
    return images if config.image_size is None else images.resized(config.image_size)


def _cached(config: DataConfig, path: Path) -> Images:
    key: dict = {k: v for k, v in asdict(config).items() if k not in _OF_SPLITS}
    if path.is_dir():  # file sizes and times show if files changed
        stats = [(p, p.stat()) for p in sorted(path.rglob("*")) if p.is_file()]
        files = [(str(p.relative_to(path)), s.st_size, s.st_mtime_ns) for p, s in stats]
        key |= {"data": str(path.resolve()), "files": files}
    digest = hashlib.sha256(json.dumps([_CACHE_FORMAT, key], sort_keys=True).encode()).hexdigest()
    default = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "layermix"
    file = Path(os.environ.get("LAYERMIX_CACHE") or default) / f"{digest[:24]}.safetensors"
    if file.exists():
        return read_images(file)
    images = load_images(config.data, config.image_column, config.label_column, config.image_size)
    write_images(images, file)
    return images


def write_images(images: Images, path: Path | str) -> None:
    """Write a data set, which must have a split ``"train"``, to a ``.safetensors`` file."""
    from safetensors.torch import save_file

    path = Path(path)
    if path.suffix != ".safetensors":
        raise InputError(f"cannot write {path}: it must end in .safetensors")
    if "train" not in images.splits:
        raise InputError(f"there is no split 'train', only {sorted(images.splits)}: add it")
    tensors = {}
    for name, split in images.splits.items():
        # Copies, because safetensors refuses tensors that share memory.
        tensors[f"{name}.images"] = split.images.contiguous().clone()
        tensors[f"{name}.labels"] = split.labels.clone()
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(f".{os.getpid()}")
    save_file(tensors, unfinished, {"classes": json.dumps(images.classes)})
    unfinished.replace(path)


def read_images(path: Path | str) -> Images:
    """Read a data set from a file that `write_images` has written."""
    from safetensors import SafetensorError, safe_open

    if not Path(path).exists():
        raise InputError(f"there is no file {path}")
    try:
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            classes = tuple(json.loads((file.metadata() or {})["classes"]))
        names = sorted({name.rpartition(".")[0] for name in tensors})
        splits = {n: Split(tensors[f"{n}.images"], tensors[f"{n}.labels"]) for n in names}
    except (SafetensorError, KeyError) as error:
        raise InputError(
            f"{path} is not a decoded data set ({error}): use a file of `write_images`"
        ) from error
    return Images(splits, classes)
