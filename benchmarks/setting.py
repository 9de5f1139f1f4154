"""Settings of a benchmark: device, number of repetitions, and size."""

from dataclasses import dataclass
from typing import Literal

import torch

from layermix.errors import InputError


@dataclass(frozen=True)
class Setting:
    """Settings of all benchmarks; each benchmark uses those that apply to it."""

    device: Literal["cpu", "cuda"] = "cpu"
    """Device for the measurement."""
    repeats: int = 9
    """Number of repetitions. Each one runs all compared functions once."""
    threads: int = 1
    """Number of CPU threads."""
    data: str = "digits"
    """Images to train on: `digits`, or a folder of parquet files or images."""
    tiny: bool = False
    """Only for step: a tiny network, compared with timm, torchvision and plain PyTorch."""
    small: bool = False
    """Tiny sizes, which only test the code."""

    def check(self) -> None:
        """Raise an `InputError` if a setting is invalid."""
        for name in ("repeats", "threads"):
            if (value := getattr(self, name)) < 1:
                raise InputError(f"{name} is {value}, but must be 1 or more")
        if self.device == "cuda" and not torch.cuda.is_available():
            raise InputError("device is 'cuda', but torch finds no GPU here: use --device cpu")
