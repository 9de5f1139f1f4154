"""Decoded data sets in one file: safetensors, with class names and modality in their metadata."""

import json
import os
from dataclasses import asdict
from pathlib import Path

from layermix.errors import InputError
from layermix.lab.data.dataset import Source, Split
from layermix.lab.data.modalities import MODALITIES


def write_source(source: Source, path: Path | str) -> None:
    """Write a data set, which must have a split ``"train"``, to a ``.safetensors`` file."""
    from safetensors.torch import save_file

    path = Path(path)
    if path.suffix != ".safetensors":
        raise InputError(f"cannot write {path}: it must end in .safetensors")
    if "train" not in source.splits:
        raise InputError(f"there is no split 'train', only {sorted(source.splits)}: add it")
    tensors = {}
    for name, split in source.splits.items():
        # Copies, because safetensors refuses tensors that share memory.
        tensors[f"{name}.inputs"] = split.inputs.contiguous().clone()
        tensors[f"{name}.labels"] = split.labels.clone()
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(f".{os.getpid()}")
    modality = {"modality": source.modality.name, **asdict(source.modality)}
    about = {"classes": json.dumps(source.classes), "modality": json.dumps(modality)}
    save_file(tensors, unfinished, about)
    unfinished.replace(path)


def read_source(path: Path | str) -> Source:
    """Read a data set from a file that `write_source` has written."""
    from safetensors import SafetensorError, safe_open

    if not Path(path).exists():
        raise InputError(f"there is no file {path}")
    try:
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            about = {name: json.loads(value) for name, value in (file.metadata() or {}).items()}
        classes, settings = tuple(about["classes"]), about.get("modality", {"modality": "image"})
        modality = MODALITIES[settings.pop("modality")](**settings)
        inputs = "inputs" if "modality" in about else "images"  # written by an earlier version
        names = sorted({name.rpartition(".")[0] for name in tensors})
        splits = {n: Split(tensors[f"{n}.{inputs}"], tensors[f"{n}.labels"]) for n in names}
    except (SafetensorError, KeyError) as error:
        raise InputError(
            f"{path} is not a decoded data set ({error}): use a file of `write_source`"
        ) from error
    return Source(splits, classes, modality)
