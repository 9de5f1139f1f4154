"""Decode parquet files of images to one file that layermix reads without `datasets`.

    python -m benchmarks.unpack FOLDER OUT.safetensors

It only needs pyarrow and Pillow besides torch. The files have the format of the Hugging Face hub:
SPLIT-*.parquet in the folder, with an image column (img or image) and a label column (label), as in
CIFAR-10.
"""

import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from layermix.lab.data import Source, Split, write_source
from layermix.lab.data.modalities import ImageInputs


def main(folder: Path, out: Path) -> None:
    """Decode all splits of a folder, and write them to one file."""
    import pyarrow.parquet as pq

    splits: dict[str, Split] = {}
    for path in sorted(folder.rglob("*.parquet")):
        name, table = path.name.partition("-")[0], pq.read_table(path)
        column = next(name for name in ("img", "image") if name in table.column_names)
        pixels = [decode(each) for each in table[column].to_pylist()]
        images = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).contiguous()
        labels = torch.tensor(table["label"].to_pylist())
        if name in splits:
            images = torch.cat([splits[name].inputs, images])
            labels = torch.cat([splits[name].labels, labels])
        splits[name] = Split(images, labels)
    if not splits:
        sys.exit(f"there are no parquet files below {folder}")
    classes = 1 + max(int(split.labels.max()) for split in splits.values())
    write_source(Source(splits, tuple(map(str, range(classes))), ImageInputs()), out)
    for name, split in splits.items():
        print(f"{name}: {len(split)} images {tuple(split.inputs.shape[1:])}, {classes} classes")


def decode(value: dict[str, Any]) -> np.ndarray:
    """Decode an image, and return it as uint8 (H, W, 3)."""
    from PIL import Image

    return np.asarray(Image.open(io.BytesIO(value["bytes"])).convert("RGB"))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
