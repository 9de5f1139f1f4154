"""Decode a data set once, keep it on disk as safetensors, read it in every worker.

Such a file is a data set by itself, which needs nothing but safetensors to be read.

The cache lies in ``$LAYERMIX_CACHE``, else in ``$XDG_CACHE_HOME/layermix`` or
``~/.cache/layermix``, one file for each source; it may be deleted at any time.
"""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

from layermix.errors import InputError
from layermix.experiments.data.dataset import Images, Split

_FORMAT = 2  # raise it when the meaning of a file changes


def cache_folder() -> Path:
    """Return the folder of the cache, which need not exist."""
    if own := os.environ.get("LAYERMIX_CACHE"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "layermix"


def cached(key: dict, load: Callable[[], Images]) -> Images:
    """Return what `load` returns, from disk if it was loaded under the same key before."""
    digest = hashlib.sha256(json.dumps([_FORMAT, key], sort_keys=True).encode()).hexdigest()
    path = cache_folder() / f"{digest[:24]}.safetensors"
    if path.exists():
        return read_images(path)
    images = load()
    write_images(images, path)
    return images


def folder_state(folder: Path) -> list[tuple[str, int, int]]:
    """Return names, sizes and times of all files below a folder: what a change would change."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    stats = [(path, path.stat()) for path in files]
    return [(str(p.relative_to(folder)), s.st_size, s.st_mtime_ns) for p, s in stats]


def write_images(images: Images, path: Path | str) -> None:
    """Write a decoded data set to a file, which is whole or not there.

    Parameters
    ----------
    images
        Its splits, ``"train"`` among them: uint8 images (N, C, H, W) and int64 labels (N,); and the
        names of its classes.
    path
        ``NAME.safetensors``, as ``--data`` takes it.

    Raises
    ------
    InputError
        For another ending, or splits without ``"train"``.
    """
    from safetensors.torch import save_file

    path = Path(path)
    if path.suffix != ".safetensors":
        raise InputError(f"cannot write {path}: name a file that ends in .safetensors")
    if "train" not in images.splits:
        raise InputError(f"there are the splits {sorted(images.splits)}, and 'train' is missing")
    tensors = {}
    for name, split in images.splits.items():
        # Copies, since safetensors refuses tensors that share memory.
        tensors[f"{name}.images"] = split.images.contiguous().clone()
        tensors[f"{name}.labels"] = split.labels.clone()
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(f".{os.getpid()}")
    save_file(tensors, unfinished, {"classes": json.dumps(images.classes)})
    unfinished.replace(path)


def read_images(path: Path | str) -> Images:
    """Read a decoded data set from a file.

    Raises
    ------
    InputError
        For a file that is not there, or holds something else.
    """
    from safetensors import SafetensorError, safe_open

    if not Path(path).exists():
        raise InputError(f"there is no file {path}")
    try:
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            classes = tuple(json.loads((file.metadata() or {})["classes"]))
        names = sorted({name.rpartition(".")[0] for name in tensors})
        splits = {
            name: Split(tensors[f"{name}.images"], tensors[f"{name}.labels"]) for name in names
        }
    except (SafetensorError, KeyError) as error:
        raise InputError(
            f"{path} holds no decoded data set ({error}): name a file that "
            "layermix.experiments.data.write_images wrote"
        ) from error
    return Images(splits, classes)
