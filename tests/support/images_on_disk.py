"""Small images on disk in the format of data sets of the Hugging Face Hub."""

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image


def png(seed: int, size: int = 8) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def parquet(folder: Path, name: str, columns: dict) -> None:
    folder.mkdir(exist_ok=True)
    pq.write_table(pa.table(columns), folder / f"{name}-00000-of-00001.parquet")


def encoded(count: int) -> list[dict]:
    return [{"bytes": png(row), "path": None} for row in range(count)]
