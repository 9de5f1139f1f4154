"""Small folders of images and sounds, and a check that the program refuses one of them."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.io import wavfile

from bad_inputs import attempt, time_limit
from images_on_disk import png
from layermix.lab.data import DataConfig, load

RECIPE = "--epochs 1 --batch-size 8 --monitor 0 --no-geometry --model mlp --variant none"


def wav(rate: int = 800, samples: Any = None, dtype: type = np.int16) -> bytes:
    buffer = io.BytesIO()
    wave = np.sin(np.arange(800) / 5) * 20_000 if samples is None else np.asarray(samples)
    wavfile.write(buffer, rate, wave.astype(dtype))
    return buffer.getvalue()


def image_folder(folder: Path, classes: tuple[str, ...] = ("cat", "dog"), size: int = 8) -> Path:
    for name in classes:
        (folder / name).mkdir(parents=True)
        for k in range(8):
            (folder / name / f"{k}.png").write_bytes(png(k, size))
    return folder


def sound_folder(folder: Path) -> Path:
    for name, pitch in (("cat", 1), ("dog", 3)):
        (folder / name).mkdir(parents=True)
        for k in range(8):
            wave = np.sin(np.arange(800) / 5 * pitch + k) * 20_000
            (folder / name / f"{k}.wav").write_bytes(wav(samples=wave))
    return folder


def all_inputs(folder: Path) -> list[torch.Tensor]:
    with time_limit():
        data = load(DataConfig(str(folder)))
    return [inputs for split in (data.train, data.val, data.test) for inputs in split.inputs]


def refuse(folder: Path, part: str, capsys: pytest.CaptureFixture[str], *flags: str) -> None:
    """Check that `layermix train` refuses the data, and writes no run."""
    out = folder.parent / "run"
    words = ["train", "--data", str(folder), *flags, *RECIPE.split(), "--out", str(out)]
    code, _, err = attempt(words, capsys)
    assert code in (1, 2)
    assert part in err
    assert list(folder.parent.glob("run*")) == []
